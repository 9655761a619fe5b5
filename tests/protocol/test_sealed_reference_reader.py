"""The page of script that opens a store dump with gpg agrees with the vectors."""

import json
import os
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
READER = ROOT / "reference_reader.py"
FOLDER = ROOT / "vectors" / "sealed"
KEYS = json.loads((FOLDER / "keys.json").read_text())
MOST_LINES = 100

pytestmark = pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("gpg")
    folder.chmod(0o700)
    environment = os.environ | {"GNUPGHOME": str(folder)}
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--import"],
        input=b64decode(KEYS["secret_key"]) + b64decode(KEYS["later_secret_key"]),
        env=environment,
        check=True,
        capture_output=True,
    )
    yield environment
    subprocess.run(["gpgconf", "--kill", "all"], env=environment, check=False)


def read(name: str, home: dict[str, str], *keys: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", READER, *keys],
        input=(FOLDER / f"{name}.eml").read_bytes(),
        env=home,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.eml")))
def test_reader(name: str, home: dict[str, str]) -> None:
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    run = read(name, home, KEYS["arrival_public"], KEYS["device_public"])
    # The reader makes no opened view and compares no summary: those vectors are octets to it.
    refused = vector["expect"] == "unproven" or (
        vector["expect"].startswith("refused") and "copy" not in vector["expect"]
    )
    if vector["expect"] == "refused: envelope" and name == "not-canonical":
        refused = False  # it reads any JSON
    assert (run.returncode != 0) is refused, run.stderr.decode()
    if "delivered" in vector and not refused:
        assert run.stdout == b64decode(vector["delivered"])
    if refused:
        assert run.stdout == b""


def test_reader_notices_another_arrival_key(home: dict[str, str]) -> None:
    run = read("plain", home, "00" * 31 + "01")
    assert run.returncode != 0
    assert run.stdout == b""


def test_reader_is_short() -> None:
    assert len(READER.read_text().splitlines()) <= MOST_LINES
