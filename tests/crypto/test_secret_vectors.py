"""Every file under tests/vectors for recovery, words, shares, pairing, backup and paper."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from e2email_crypto import (
    _backup_content,
    backup,
    errors,
    pairing,
    paper_codes,
    recovery,
    shares,
    slot,
    words,
)
from e2email_crypto.slot import SlotKind

VECTORS = Path(__file__).parents[1] / "vectors"
KINDS = ("recovery", "words", "shares", "pairing", "backup", "paper")
FILES = [path for kind in KINDS for path in sorted((VECTORS / kind).glob("*.json"))]


def run_recovery(given: dict[str, Any]) -> dict[str, Any]:
    secret = bytes.fromhex(given["secret"])
    keys = recovery.split(secret, given["account"], given["server_name"])
    parts = {part: getattr(keys, part).hex() for part in ("auth", "wrap", "seed", "public")}
    return parts | {"words": " ".join(recovery.to_words(secret))}


def run_words(given: dict[str, Any]) -> dict[str, Any]:
    secret = words.decode(given["words"], given["count"], given["label"].encode())
    return {"secret": secret.hex()}


def run_shares(given: dict[str, Any]) -> dict[str, Any]:
    return {"secret": shares.combine(given["shares"]).hex()}


def run_pairing(given: dict[str, Any]) -> dict[str, Any]:
    code = pairing.from_words(given["words"])
    names = given["account"], given["server_name"]
    message = base64.b64decode(given["message"])
    pair, gift = pairing.open(message, code, *names, given["now"])
    return {
        "id": pairing.message_id(code).hex(),
        "old_device": pair.old_device,
        "new_device": pair.new_device,
        "expires": pair.expires,
        "payload": pairing._encode(gift).decode(),
    }


def run_backup(given: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64decode(given["file"])
    head = backup.read_head([data])
    names = head.account, head.server_name
    wrapped = head.slot(SlotKind.RECOVERY)
    assert wrapped is not None
    wrap = recovery.split(bytes.fromhex(given["secret"]), *names).wrap
    found = backup.open([data], slot.unwrap(wrapped, wrap, *names))
    mail = None if found.mail is None else [shown(one) for one in found.mail]
    return {
        "whole": whole(data),
        "account": head.account,
        "server_name": head.server_name,
        "created": head.created,
        "content": _backup_content.encode(found.content).decode(),
        "mail": mail,
    }


def shown(mail: backup.Mail) -> dict[str, Any]:
    return {
        "mailbox": mail.mailbox,
        "flags": list(mail.flags),
        "time": mail.time,
        "id": mail.record_id.hex(),
        "octets": base64.b64encode(mail.octets).decode(),
    }


def whole(data: bytes) -> bool:
    try:
        backup.verify([data])
    except errors.SecretError:
        return False
    return True


def run_paper(given: dict[str, Any]) -> dict[str, Any]:
    return {"data": paper_codes.decode(given["parts"]).hex()}


RUN = {
    "recovery": run_recovery,
    "words": run_words,
    "shares": run_shares,
    "pairing": run_pairing,
    "backup": run_backup,
    "paper": run_paper,
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_vector(path: Path) -> None:
    vector = json.loads(path.read_text())
    run = RUN[vector["format"]]
    given, gives = vector["given"], vector["gives"]
    if vector["expect"] == "ok":
        assert run(given) == gives
        return
    expected = ValueError if vector["expect"] == "ValueError" else getattr(errors, vector["expect"])
    with pytest.raises(expected) as caught:
        run(given)
    assert caught.type is expected  # the very cause, not a relative of it
    if "whole" in gives:
        assert whole(base64.b64decode(given["file"])) is gives["whole"]
        return
    for name, value in gives.items():
        found = getattr(caught.value, name)
        assert (list(found) if isinstance(found, tuple) else found) == value


def test_there_are_vectors() -> None:
    assert {path.parent.name for path in FILES} == set(KINDS)
    assert len(FILES) > 100
