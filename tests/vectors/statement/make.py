"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/statement/make.py`."""

from collections.abc import Callable
from typing import Any

from e2email_crypto import _sodium, arrival, cert, keyedit, statement
from support.key_vectors import ACCOUNT, OTHER, b64, case, flipped

NOW = 1_780_000_000


def person(name: str) -> tuple[keyedit.Identity, statement.Certificate]:
    made = keyedit.new_identity(f"{name}@example.test", name, NOW)
    subkeys = tuple(sub.fingerprint for sub in cert.inspect_cert(made.cert, NOW).subkeys)
    return made, statement.Certificate(made.fingerprint, subkeys)


def write() -> None:
    (alice, listed), (alice2, listed2), (mallory, foreign) = map(
        person, ("alice", "alice", "mallory")
    )
    device, recovery = arrival.ArrivalKey(b"\5" * 32), arrival.ArrivalKey(b"\6" * 32)
    certificates = [alice.cert, alice2.cert, mallory.cert]

    def by(identity: keyedit.Identity) -> Callable[[bytes], bytes]:
        return lambda data: keyedit.sign_detached(identity.tsk, data)

    def follow(before: statement.Entry, sequence: int = 2, **other: Any) -> statement.Statement:
        fields: dict[str, Any] = {
            "sequence": sequence,
            "addresses": (ACCOUNT, "al@example.test"),
            "certificates": (listed2, listed),
            "policy": statement.Policy.BASELINE,
            "time": NOW + 60,
            "previous": before.digest,
            "device_keys": (device.public,),
            "recovery_key": recovery.public,
        }
        return statement.Statement(**fields | other)

    start = statement.Statement(
        1, (ACCOUNT,), (listed,), statement.Policy.SEALED, NOW, recovery_key=recovery.public
    )
    first = statement.sign_entry(start, alice.fingerprint, by(alice))
    second = statement.sign_entry(follow(first), alice.fingerprint, by(alice))
    third = statement.sign_entry(
        follow(second, 3, certificates=(listed2,)), alice2.fingerprint, by(alice2)
    )
    octets = follow(first, certificates=(foreign,)).encode()
    forced = statement.Entry(octets, statement.Authority.FORCED)
    headless = statement.Entry(first.statement, statement.Authority.FORCED)
    said = statement.Entry(second.statement, statement.Authority.FORCED)
    recovered = statement.Entry(
        octets,
        statement.Authority.RECOVERY,
        signature=_sodium.sign(statement.signed_octets(octets), recovery._secret),
    )

    def one(
        name: str, about: str, expect: str, *entries: statement.Entry | bytes, **other: Any
    ) -> None:
        lines = [item if isinstance(item, bytes) else item.encode() for item in entries]
        given = {
            "entries": [line.decode("latin-1") for line in lines],
            "account": ACCOUNT,
            "certificates": [b64(item) for item in certificates],
            "accepted": [],
        }
        given |= other
        gives: dict[str, Any] = {}
        if expect == "ok":
            last = statement.Entry.decode(lines[-1])
            newest = statement.decode(last.statement)
            gives = {
                "sequence": newest.sequence,
                "head": last.digest.hex(),
                "key_ids": sorted(newest.key_ids),
            }
        case("statement", name, about, given, expect, **gives)

    def bad(name: str, about: str, *entries: statement.Entry | bytes, **other: Any) -> None:
        one(name, about, "StatementInvalid", *entries, **other)

    def respelled(old: bytes, new: bytes) -> statement.Entry:
        changed = first.statement.replace(old, new, 1)
        assert changed != first.statement
        signature = by(alice)(statement.signed_octets(changed))
        return statement.Entry(changed, statement.Authority.KEY, alice.fingerprint, signature)

    one("first", "one entry, signed by its own primary key", "ok", first)
    one(
        "second",
        "new policy, address, certificate and device, signed by the key before",
        "ok",
        first,
        second,
    )
    one("third", "signed by the key that the second entry brought", "ok", first, second, third)
    one(
        "forced",
        "an administrator's override that the caller accepts",
        "ok",
        first,
        forced,
        accepted=[forced.digest.hex()],
    )
    one("recovery", "signed by the recovery key of the entry before", "ok", first, recovered)
    bad("forced-refused", "an administrator's override", first, forced)
    later = statement.sign_entry(
        follow(forced, 3, certificates=(foreign,)), mallory.fingerprint, by(mallory)
    )
    accepted = [forced.digest.hex()]
    about = "what follows an accepted override is signed by the keys that it names"
    one("forced-followed", about, "ok", first, forced, later, accepted=accepted)
    again = statement.Entry(follow(forced, 3).encode(), statement.Authority.FORCED)
    about = "another override is another digest"
    bad("forced-again", about, first, forced, again, accepted=accepted)
    about = "the digest of the entry before accepts nothing"
    bad("forced-other-digest", about, first, forced, accepted=[first.digest.hex()])
    old = statement.sign_entry(follow(forced, 3), alice.fingerprint, by(alice))
    about = "the key that was replaced signs nothing any more"
    bad("forced-ousts", about, first, forced, old, accepted=accepted)
    back = statement.Entry(
        octets, statement.Authority.RECOVERY, signature=_sodium.sign(octets, recovery._secret)
    )
    bad("recovery-no-label", "signed without the label", first, back)
    bad(
        "forced-first",
        "a history cannot begin so",
        headless,
        accepted=[headless.digest.hex()],
    )
    bad("no-entry", "nothing is no history")
    bad("gap", "the second entry is left out", first, third)
    bad("headless", "the first entry is left out", second)
    bad("doubled", "the first entry twice", first, first)
    bad(
        "other-past",
        "the second entry follows another first one",
        statement.sign_entry(
            statement.Statement(1, (ACCOUNT,), (listed,), statement.Policy.SEALED, NOW + 1),
            alice.fingerprint,
            by(alice),
        ),
        second,
    )
    bad(
        "own-key",
        "a new key vouches for itself",
        first,
        statement.sign_entry(follow(first), alice2.fingerprint, by(alice2)),
    )
    bad(
        "stranger",
        "mallory's key",
        first,
        statement.sign_entry(follow(first), mallory.fingerprint, by(mallory)),
    )
    bad(
        "stranger-as-alice",
        "mallory's signature under alice's fingerprint",
        first,
        statement.sign_entry(follow(first), alice.fingerprint, by(mallory)),
    )
    bad("other-account", "bob asks and gets alice's", first, account=OTHER)
    bad(
        "certificate-missing",
        "the signer's certificate is not given",
        first,
        certificates=[b64(alice2.cert)],
    )
    bad("certificate-unreadable", "octets that are no certificate", first, certificates=[b64(b"x")])
    bad(
        "no-label",
        "a signature over the statement alone, as of a mail",
        statement.Entry(
            first.statement, statement.Authority.KEY, alice.fingerprint, by(alice)(first.statement)
        ),
    )
    bad(
        "recovery-by-device",
        "the device key is not the recovery key",
        first,
        statement.Entry(
            octets,
            statement.Authority.RECOVERY,
            signature=_sodium.sign(statement.signed_octets(octets), device._secret),
        ),
    )
    bad(
        "recovery-first",
        "a history cannot begin so",
        statement.Entry(
            first.statement,
            statement.Authority.RECOVERY,
            signature=_sodium.sign(statement.signed_octets(first.statement), recovery._secret),
        ),
    )
    bad(
        "key-to-forced",
        "a signed entry said to be forced, then followed: the head tells",
        first,
        said,
        third,
        accepted=[said.digest.hex()],
    )
    bad("version-2", "a later format", respelled(b'"version":1', b'"version":2'))
    bad("version-true", "JSON's true is not 1", respelled(b'"version":1', b'"version":true'))
    bad("not-canonical", "a space", respelled(b'"version":1', b'"version": 1'))
    bad("unknown-field", "", respelled(b'"version":1', b'"version":1,"zoo":1'))
    bad(
        "doubled-field",
        "the policy twice",
        respelled(b'"policy":"sealed"', b'"policy":"baseline","policy":"sealed"'),
    )
    bad("unknown-policy", "", respelled(b'"sealed"', b'"open"'))
    bad("sequence-2", "a history begins with 1", respelled(b'"sequence":1', b'"sequence":2'))
    bad("sequence-float", "", respelled(b'"sequence":1', b'"sequence":1.0'))
    bad(
        "no-subkey",
        "a certificate that nothing is sealed to",
        respelled(f'["{listed.encryption_subkeys[0]}"]'.encode(), b"[]"),
    )
    bad(
        "fingerprint-lower",
        "",
        respelled(alice.fingerprint.encode(), alice.fingerprint.lower().encode() + b""),
    )
    bad(
        "key-id-only",
        "a key id where a fingerprint belongs",
        respelled(
            listed.encryption_subkeys[0].encode(), listed.encryption_subkeys[0][-16:].encode()
        ),
    )
    bad("address-capital", "names are in normal form", respelled(b'["alice', b'["Alice'))
    bad("entry-not-json", "", b"statement")
    bad("entry-line-end", "", first.encode() + b"\n")
    bad("entry-too-long", "above 128 KiB", b" " * (statement.ENTRY_MAX + 1))
    bad(
        "signature-cut",
        "",
        statement.Entry(first.statement, first.authority, first.signer, first.signature[:-1]),
    )
    bad(
        "signature-flip",
        "",
        statement.Entry(
            first.statement,
            first.authority,
            first.signer,
            flipped(first.signature, len(first.signature) - 1),
        ),
    )


if __name__ == "__main__":
    write()
