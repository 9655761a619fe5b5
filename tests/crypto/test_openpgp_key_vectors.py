"""Every file under tests/vectors/openpgp-keys, as it says itself."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from e2email_crypto import errors
from e2email_crypto.cert import merge, minimal, publishable
from e2email_crypto.keyimport import read_secret
from support.crypto_keys import added, bodies_digest

FILES = sorted((Path(__file__).parents[1] / "vectors" / "openpgp-keys").glob("*.json"))
NOW = 1_780_000_000


def octets(given: dict[str, Any], name: str) -> bytes:
    return base64.b64decode(given[name])


def run_import(given: dict[str, Any]) -> dict[str, Any]:
    got = read_secret(octets(given, "file"), given["passphrase"], NOW)
    return {
        "fingerprint": got.fingerprint,
        "user_ids": list(got.user_ids),
        "subkeys": [{"fingerprint": s.fingerprint, "state": s.state.value} for s in got.subkeys],
        "bodies": bodies_digest(got.tsk),
    }


def run_edit(given: dict[str, Any]) -> dict[str, Any]:
    for name in ("before", "after"):
        read_secret(octets(given, name), None, NOW)
    return {"added": added(octets(given, "before"), octets(given, "after"))}


def certificate(made: bytes) -> dict[str, Any]:
    return {"certificate": base64.b64encode(made).decode()}


RUN = {
    "import": run_import,
    "edit": run_edit,
    "merge": lambda given: certificate(merge(octets(given, "old"), octets(given, "new"))),
    "publish": lambda given: certificate(
        publishable(octets(given, "certificate"), given["address"])
    ),
    "minimal": lambda given: certificate(
        minimal(octets(given, "certificate"), given["address"], NOW)
    ),
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_text())
    run = RUN[vector["given"]["operation"]]
    if vector["expect"] == "ok":
        assert run(vector["given"]) == vector["gives"]
        return
    with pytest.raises(getattr(errors, vector["expect"])):
        run(vector["given"])


def test_all_operations_have_vectors() -> None:
    told = {json.loads(path.read_text())["given"]["operation"] for path in FILES}
    assert told == set(RUN)
