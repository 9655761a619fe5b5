"""Every file under tests/vectors for kdf, slot, vault, arrival and statement, as it says itself."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from e2email_crypto import arrival, errors, kdf, slot, statement, vault

VECTORS = Path(__file__).parents[1] / "vectors"
FILES = [
    p
    for kind in ("kdf", "slot", "vault", "arrival", "statement")
    for p in (VECTORS / kind).glob("*.json")
]


def run_kdf(given: dict[str, Any]) -> dict[str, Any]:
    params = kdf.Params.decode(bytes.fromhex(given["params"]))
    split = kdf.split(given["passphrase"], params, given["account"], given["server_name"])
    return {"auth": split.auth.hex(), "wrap": split.wrap.hex()}


def run_slot(given: dict[str, Any]) -> dict[str, Any]:
    data, names = base64.b64decode(given["slot"]), (given["account"], given["server_name"])
    params = slot.inspect(data, *names).params
    secret = bytes.fromhex(given["secret"])
    if "passphrase" in given:
        assert params is not None
        assert kdf.split(given["passphrase"], params, *names).wrap == secret
    at_least = given.get("at_least", 0)
    return {
        "account_key": slot.unwrap(data, secret, *names, at_least=at_least).raw.hex(),
        "generation": slot.inspect(data, *names).generation,
    }


def run_vault(given: dict[str, Any]) -> dict[str, Any]:
    key = slot.AccountKey(bytes.fromhex(given["account_key"]))
    box, names = base64.b64decode(given["box"]), (given["account"], given["server_name"])
    at_least = given.get("at_least", 0)
    if given["purpose"] == "state":
        payload, counter = vault.open_state(box, key, *names, at_least=at_least)
        return {"counter": counter, "payload": payload.decode()}
    opened = vault.open_vault(box, key, *names, at_least=at_least)
    return {"counter": opened.counter, "payload": vault._encode(opened).decode()}


def run_arrival(given: dict[str, Any]) -> dict[str, Any]:
    octets = {k: bytes.fromhex(v) for k, v in given.items() if isinstance(v, str)}
    if "file" in given:
        key = arrival.ArrivalKey.load(octets["file"])
        return {"public": key.public.hex(), "key_id": key.key_id}
    if "successors" in given:
        chain = [bytes.fromhex(item) for item in given["successors"]]
        return {"public": arrival.follow(octets["pinned"], chain).hex()}
    if not arrival.verify_arrival(octets["public"], octets["envelope"], octets["signature"]):
        raise errors.SignatureInvalid
    return {}


def run_statement(given: dict[str, Any]) -> dict[str, Any]:
    entries = [line.encode("latin-1") for line in given["entries"]]
    newest = statement.verify_chain(
        entries,
        [base64.b64decode(item) for item in given["certificates"]],
        given["account"],
        accepted={bytes.fromhex(item) for item in given["accepted"]},
    )
    head = statement.Entry.decode(entries[-1]).digest
    return {
        "sequence": newest.sequence,
        "head": head.hex(),
        "key_ids": sorted(newest.key_ids),
    }


RUN = {
    "kdf": run_kdf,
    "slot": run_slot,
    "vault": run_vault,
    "arrival": run_arrival,
    "statement": run_statement,
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_text())
    run = RUN[vector["format"]]
    if vector["expect"] == "ok":
        assert run(vector["given"]) == vector["gives"]
        return
    expected = ValueError if vector["expect"] == "ValueError" else getattr(errors, vector["expect"])
    with pytest.raises(expected) as caught:
        run(vector["given"])
    assert caught.type is expected  # the very cause, not a relative of it


def test_there_are_vectors() -> None:
    assert {path.parent.name for path in FILES} == set(RUN)
    assert len(FILES) > 100
