# `make run` and `make test` set themselves up; PYTHON=... names another interpreter.
PY = .venv/bin/python
.PHONY: run test lint check test-slow test-thunderbird test-control bench lock clean

run:
	@tools/setup.sh run
	@$(PY) demo/run.py

test:
	@tools/setup.sh dev
	$(PY) -m pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

# format, lint, types, import contracts
lint:
	@tools/setup.sh dev
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache

check: lint test

# kill loops, fuzzing, large mail: minutes, not seconds
test-slow:
	@tools/setup.sh dev
	$(PY) -m pytest -m slow --timeout 1800 $(ARGS)

# a day in Thunderbird on a display of its own (Debian: thunderbird xvfb libnss3-tools); leaves
# screenshots in .shots/
test-thunderbird:
	@tools/setup.sh dev
	E2EMAIL_SHOTS=.shots $(PY) -m pytest -m slow --timeout 1800 tests/programs/test_thunderbird.py $(ARGS)

# the tests of mail programs with Dovecot in the proxy's place: what passes there must pass here
test-control:
	@tools/setup.sh dev
	E2EMAIL_CONTROL=dovecot $(PY) -m pytest tests/programs -m "not slow" --ignore tests/programs/test_away.py $(ARGS)

bench:
	@tools/setup.sh dev
	$(PY) bench/run.py $(ARGS)

# pinned versions with hashes, for Python 3.11 to 3.14; needs uv
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --group build -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links pyproject.toml --group build --group dev -o requirements-dev.lock

clean:
	rm -rf .venv .demo .shots dist
