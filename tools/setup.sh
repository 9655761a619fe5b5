#!/bin/sh
# Make .venv from a lock file. Usage: tools/setup.sh run|dev
# Checks first and names the cure in one line; does nothing when .venv is already right.
set -eu
cd "$(dirname "$0")/.."
what=${1:-dev}
case $what in
  run) lock=requirements.lock ;;
  dev) lock=requirements-dev.lock ;;
  *) echo "usage: tools/setup.sh run|dev" >&2; exit 2 ;;
esac
fail() { echo "e2email: $1" >&2; exit 1; }

case $(uname -s) in
  Linux|Darwin) ;;
  *) fail "only Linux (and, as far as it goes, macOS) is supported, not $(uname -s): on Windows use WSL" ;;
esac

have=
for python in "${PYTHON:-}" python3 python3.14 python3.13 python3.12 python3.11; do
  [ -n "$python" ] || continue
  if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then have=$python; break; fi
  [ "$python" != "${PYTHON:-}" ] || fail "PYTHON=$python is not Python 3.11 or newer"
done
[ -n "$have" ] || fail "Python 3.11 or newer is needed: apt install python3, or name one with PYTHON=/path/to/python3"
"$have" -c 'import venv, ensurepip' 2>/dev/null ||
  fail "$have has no venv with ensurepip: apt install python3-venv"

stamp=.venv/.made-from
key=$( { echo "$have"; "$have" --version; cat "$lock" pyproject.toml; } | cksum)
if [ -f "$stamp" ]; then
  made=$(cat "$stamp")
  [ "$made" != "$what $key" ] || exit 0
  # a development environment also runs the programs
  devkey=$( { echo "$have"; "$have" --version; cat requirements-dev.lock pyproject.toml; } | cksum)
  [ "$what $made" != "run dev $devkey" ] || exit 0
fi

free=$(df -Pk . | awk 'NR==2 {print $4}')
[ "$free" -ge 614400 ] || fail "600 MB of free disk are needed here, $((free / 1024)) MB are free: make room and try again"

echo "e2email: setting up .venv with $("$have" --version) (once; about a minute)"
[ -x .venv/bin/python ] && .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
  "$have" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
echo "$what $key" > "$stamp"
