"""What a reader written from docs/specs alone says of every vector, right and wrong ones.

Where it differs from the vector or from our reader, code or page is wrong; where it could not be
written, the page is.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mnemonic import Mnemonic

from e2email_crypto import _backup_content, backup, errors, pairing, recovery, slot, vault
from support import second_reader as reader
from support.reference_reader import secret_of_words

VECTORS = Path(__file__).parents[1] / "vectors"
WORDS = Mnemonic("english").wordlist


def code_of(given: dict[str, Any]) -> bytes:
    typed = given["words"].split()
    reader.need(len(typed) == 12, "WordsInvalid")
    return secret_of_words(typed, b"e2email v1 pairing words", WORDS)


RUN = {
    "slot": reader.slot,
    "vault": reader.vault,
    "pairing": lambda given: reader.pairing(given, code_of(given)),
    "backup": reader.backup,
}
FILES = [path for kind in RUN for path in sorted((VECTORS / kind).glob("*.json"))]


def vector(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_vector(path: Path) -> None:
    found = json.loads(path.read_text())
    given, gives, expect = found["given"], found.get("gives", {}), found["expect"]
    if "file" in given:
        assert reader.whole(base64.b64decode(given["file"])) is gives["whole"]
    if expect == "ok":
        assert RUN[found["format"]](given) == gives
        return
    with pytest.raises(reader.Wrong) as caught:
        RUN[found["format"]](given)
    assert str(caught.value) == expect


def test_there_are_vectors() -> None:
    assert len(FILES) > 100


# --- both readers, of what no vector has -------------------------------------------------------


def our_slot(given: dict[str, Any]) -> object:
    octets, secret = base64.b64decode(given["slot"]), bytes.fromhex(given["secret"])
    return slot.unwrap(octets, secret, given["account"], given["server_name"])


def our_vault(given: dict[str, Any]) -> object:
    names = given["account"], given["server_name"]
    key, box = slot.AccountKey(bytes.fromhex(given["account_key"])), base64.b64decode(given["box"])
    opened: Any = vault.open_vault if given["purpose"] == "vault" else vault.open_state
    return opened(box, key, *names)


def our_pairing(given: dict[str, Any]) -> object:
    code, names = pairing.from_words(given["words"]), (given["account"], given["server_name"])
    return pairing.open(base64.b64decode(given["message"]), code, *names, given["now"])


def our_backup(given: dict[str, Any]) -> object:
    data = base64.b64decode(given["file"])
    head = backup.read_head([data])
    names = head.account, head.server_name
    wrapped = head.slot(slot.SlotKind.RECOVERY)
    assert wrapped is not None
    wrap = recovery.split(bytes.fromhex(given["secret"]), *names).wrap
    found = backup.open([data], slot.unwrap(wrapped, wrap, *names))
    return list(found.mail or ())


OURS = {"slot": our_slot, "vault": our_vault, "pairing": our_pairing, "backup": our_backup}
OCTETS = {"slot": "slot", "vault": "box", "pairing": "message", "backup": "file"}


def forgeries(kind: str, data: bytes) -> Iterator[bytes]:
    """Each octet changed in two ways and each place cut, and every checksum made to fit again."""
    bent = [data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]
            for at in range(len(data)) for by in (1, 0x80)]  # fmt: skip
    bent += [data[:at] for at in range(0, len(data), 7)]
    for one in bent:
        if kind != "backup":
            yield one[:-8] + hashlib.sha256(one[:-8]).digest()[:8]
            continue
        yield one[:-32] + hashlib.sha256(one[:-32]).digest()
        end = len(reader.Backup(data).front)
        front = one[: end - 8] + hashlib.sha256(one[: end - 8]).digest()[:8]
        yield front + one[end:-32] + hashlib.sha256(front + one[end:-32]).digest()


@pytest.mark.parametrize(
    "name",
    ["slot/passphrase", "slot/recovery", "slot/keyring", "vault/newborn", "vault/state",
     "pairing/pairing", "backup/no-mail", "backup/mail"],
)  # fmt: skip
def test_both_readers_say_the_same_of_every_forgery(name: str) -> None:
    found = vector(name)
    kind, given = found["format"], found["given"]
    data = base64.b64decode(given[OCTETS[kind]])
    said = set()
    for forged in forgeries(kind, data):
        changed = given | {OCTETS[kind]: base64.b64encode(forged).decode()}
        try:
            OURS[kind](changed)
            ours = "ok"
        except errors.SecretError as fault:
            ours = type(fault).__name__
        try:
            RUN[kind](changed)
            theirs = "ok"
        except reader.Wrong as fault:
            theirs = str(fault)
        assert ours == theirs
        said.add(ours)
    assert {"Damaged", "WrongSecret", "OtherAccount", "UnknownVersion"} <= said


WRONG: list[Any] = [
    None, True, 0, -1, 1.5, 65535, 65536, 2**53, 2**63 - 1, 2**63, "", "x", "\ud800", "\x1b", "=",
    "AA==", "AB==", "A" * 44, "x" * 201, "x" * 2049, "ABCDEF", "ab" * 32, "AB" * 32, [], ["x"],
    ["AA==", "AA=="], {}, [[]], [None],
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(found):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


@pytest.mark.parametrize("name", ["vault/vault", "pairing/own-ca", "backup/mail"])
def test_both_readers_take_the_same_contents(name: str) -> None:
    found = vector(name)
    kind, gives = found["format"], found["gives"]
    payload = gives["content" if kind == "backup" else "payload"].encode()
    takes: Any = {
        "vault": lambda octets: vault._decode(octets, 1),
        "pairing": pairing._decode,
        "backup": _backup_content.decode,
    }[kind]
    fields = {"vault": reader.VAULT, "pairing": reader.GIFT, "backup": reader.BACKUP}[kind]
    taken = 0
    for number in range(len(list(places(json.loads(payload))))):
        for wrong in WRONG:
            value = json.loads(payload)
            container, key = list(places(value))[number]
            container[key] = wrong
            octets = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
            try:
                takes(octets)
                ours = True
            except ValueError:
                ours = False
            try:
                read = reader.canonical(octets, fields)
                theirs = kind != "backup" or reader.state_fits(read)
            except reader.Wrong:
                theirs = False
            assert ours == theirs, (key, wrong)
            taken += ours
    assert taken > 10
