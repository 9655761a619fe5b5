"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/openpgp-keys/make.py`."""

from typing import Any

from e2email_crypto import keyedit
from e2email_crypto.cert import merge, minimal, publishable
from e2email_crypto.keyimport import Imported, read_secret
from e2email_crypto.packets import split
from support import forge
from support.crypto_keys import added, bodies_digest
from support.key_vectors import b64, case

NOW = 1_780_000_000
DAY = 86_400
PASSPHRASE = "Grüße, überall"


def imported(name: str, about: str, file: bytes, passphrase: str | None) -> None:
    got = read_secret(file, passphrase, NOW)
    case("openpgp-keys", name, about, _file(file, passphrase), "ok", **facts(got))


def facts(got: Imported) -> dict[str, Any]:
    return {
        "fingerprint": got.fingerprint,
        "user_ids": list(got.user_ids),
        "subkeys": [{"fingerprint": s.fingerprint, "state": s.state.value} for s in got.subkeys],
        "bodies": bodies_digest(got.tsk),
    }


def refused(name: str, about: str, file: bytes, passphrase: str | None, expect: str) -> None:
    case("openpgp-keys", name, about, _file(file, passphrase), expect)


def _file(file: bytes, passphrase: str | None) -> dict[str, Any]:
    return {"operation": "import", "file": b64(file), "passphrase": passphrase}


def edited(name: str, about: str, before: bytes, after: bytes) -> None:
    given = {"operation": "edit", "before": b64(before), "after": b64(after)}
    case("openpgp-keys", name, about, given, "ok", added=added(before, after))


def imports() -> None:
    ann = keyedit.new_identity("ann@example.test", "Ann", NOW - 90 * DAY)
    twice = keyedit.rotate_encryption(ann.tsk, NOW - 9 * DAY)
    locked = keyedit.export_secret(twice.tsk, PASSPHRASE, NOW)
    imported("import-plain", "a rotated key without a passphrase", twice.tsk, None)
    imported("import-cfb", "the same as written for gpg and Thunderbird", locked, PASSPHRASE)
    refused("import-wrong", "another passphrase", locked, "wrong", "WrongSecret")
    refused("import-none", "no passphrase", locked, None, "PassphraseNeeded")
    old = forge.Forged(primary=forge.Ed25519(NOW - 90 * DAY))
    old.self_sig = forge.self_signature(old.primary, old.user_id, lifetime=20 * DAY)
    old.add(lifetime=9 * DAY)
    imported("import-expired", "a key and a subkey whose time is over", old.tsk, None)
    other = forge.Forged(primary=old.primary, self_sig=old.self_sig)
    twin = forge.Cv25519(NOW - 90 * DAY)
    other.add(twin)
    twin._secret = old.subkeys[0][0]._secret
    about = "the secret of another subkey (KOpenPGP)"
    refused("import-exchanged", about, other.tsk, None, "BadKey")
    stub = b"\xfe\x09\x65\x00GNU\x01"
    first, *rest = split(twice.tsk, 64)
    without = forge.packet(5, first.body[:51] + stub) + b"".join(p.raw for p in rest)
    refused(
        "import-stub", "a primary key whose secret was left out", without, None, "SecretMissing"
    )


def edits() -> None:
    ann = keyedit.new_identity("ann@example.test", "Ann", NOW - 90 * DAY)
    two = keyedit.add_address(ann.tsk, "ann@example.net", "Ann", NOW - 80 * DAY)
    longer = keyedit.extend(two.tsk, 2_000_000_000, NOW - 70 * DAY)
    rotated = keyedit.rotate_encryption(longer.tsk, NOW - 60 * DAY)
    spilt = keyedit.rotate_encryption(rotated.tsk, NOW - 50 * DAY, compromised=True)
    one = keyedit.revoke_address(spilt.tsk, "ann@example.net", NOW - 40 * DAY)
    gone = keyedit.revoke(one.tsk, keyedit.Reason.RETIRED, NOW - 30 * DAY)
    steps = [
        ("edit-address", "an address more", ann.tsk, two.tsk),
        ("edit-extend", "an end in 2033", two.tsk, longer.tsk),
        ("edit-rotate", "a new subkey, the old one superseded", longer.tsk, rotated.tsk),
        ("edit-compromised", "a new subkey, the old one compromised", rotated.tsk, spilt.tsk),
        ("edit-revoke-address", "an address less", spilt.tsk, one.tsk),
        ("edit-revoke", "the key retired", one.tsk, gone.tsk),
    ]
    for step in steps:
        edited(*step)
    merges(ann.cert, two.cert, gone.cert)
    for operation, made in (
        ("publish", publishable(rotated.cert, "ann@example.net")),
        ("minimal", minimal(rotated.cert, "ann@example.net", NOW)),
    ):
        given = {"operation": operation, "certificate": b64(rotated.cert)}
        given["address"] = "ann@example.net"
        case(
            "openpgp-keys", operation, "for one address of two", given, "ok", certificate=b64(made)
        )


def merges(first: bytes, second: bytes, last: bytes) -> None:
    def merging(name: str, about: str, old: bytes, new: bytes, expect: str = "ok") -> None:
        given = {"operation": "merge", "old": b64(old), "new": b64(new)}
        gives = {"certificate": b64(merge(old, new))} if expect == "ok" else {}
        case("openpgp-keys", name, about, given, expect, **gives)

    merging("merge-newer", "an old copy and the newest", first, last)
    merging("merge-older", "a revocation is not taken back", last, second)
    merging("merge-other", "two keys", first, forge.person().cert, "OtherKey")
    key = forge.Forged(primary=forge.Ed25519(NOW - 90 * DAY))
    key.add(forge.Cv25519(NOW - 90 * DAY))
    evil = forge.Ed25519(NOW - 90 * DAY)
    evil.fingerprint, evil.key_id = key.primary.fingerprint, key.primary.key_id
    worse = forge.Forged(primary=key.primary, user_id=b"Evil <evil@example.test>")
    worse.self_sig = forge.self_signature(evil, worse.user_id)
    worse.add(forge.Cv25519(NOW - 90 * DAY))
    worse.subkeys[0] = (worse.subkeys[0][0], forge.binding(evil, worse.subkeys[0][0]))
    merging("merge-forged", "nothing the key did not sign comes in", key.cert, worse.cert)


if __name__ == "__main__":
    imports()
    edits()
