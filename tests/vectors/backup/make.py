"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/backup/make.py`."""

import hashlib
from typing import Any

from e2email_crypto import _backup_content, _box, _wire, backup, kdf, recovery, slot
from e2email_crypto.slot import SlotKind
from support.key_vectors import ACCOUNT, SECRET, SERVER, b64, case, flipped

NOW = 1_780_000_000
R = bytes(range(16))


def write() -> None:
    key = slot.AccountKey(SECRET)
    wrap = recovery.split(R, ACCOUNT, SERVER).wrap
    recover = slot.wrap(key, SlotKind.RECOVERY, wrap, ACCOUNT, SERVER, generation=1)
    params = kdf.Params(3, kdf.M_KIB_MIN, bytes(range(16)))
    phrase = kdf.split("correct horse battery staple", params, ACCOUNT, SERVER).wrap
    kind = SlotKind.PASSPHRASE
    by_phrase = slot.wrap(key, kind, phrase, ACCOUNT, SERVER, params, generation=4)
    settings = backup.Settings("https://mail.example.test", 993, 0, 465, 0, b"\4" * 32)
    content = backup.Content(
        vault=b"vault",
        statements=(b"first", b"second"),
        certificates=(b"certificate",),
        revocations=(b"revocation",),
        settings=settings,
        state=b"contacts",
        state_counter=9,
    )
    bare = backup.Content(b"vault", (), (), (), settings)
    mails = (
        backup.Mail("INBOX", ("\\Seen", "$Forwarded"), NOW, b"\1" * 16, b"Subject: a\r\n\r\nb\r\n"),
        backup.Mail("Entwürfe", (), 0, b"\2" * 16, b""),
    )

    def file(mail: tuple[backup.Mail, ...] | None, *slots: bytes, of: backup.Content) -> bytes:
        return b"".join(backup.write(key, ACCOUNT, SERVER, NOW, slots or (recover,), of, mail))

    data = file(mails, recover, by_phrase, of=content)
    small = file(None, of=bare)
    front = len(file(None, recover, by_phrase, of=content)) - 32

    def one(name: str, about: str, octets: bytes, expect: str, whole: bool, **other: Any) -> None:
        """`whole`: what `verify` says without a secret."""
        content, mail = other.pop("content", None), other.pop("mail", None)
        given = {"file": b64(octets), "secret": R.hex()} | other
        gives: dict[str, Any] = {"whole": whole}
        if expect == "ok":
            gives |= {
                "account": ACCOUNT,
                "server_name": SERVER,
                "created": NOW,
                "content": _backup_content.encode(content).decode(),
                "mail": None
                if mail is None
                else [
                    {
                        "mailbox": one.mailbox,
                        "flags": list(one.flags),
                        "time": one.time,
                        "id": one.record_id.hex(),
                        "octets": b64(one.octets),
                    }
                    for one in mail
                ],
            }
        case("backup", name, about, given, expect, **gives)

    def digested(octets: bytes) -> bytes:
        return octets[:-32] + hashlib.sha256(octets[:-32]).digest()

    def forged(octets: bytes, at: int, new: bytes, end: int = front) -> bytes:
        """Changed on purpose: checksum of the front and digest made new."""
        bent = _wire.finish(octets[:at] + new + octets[at + len(new) : end - 8])
        return digested(bent + octets[end:])

    one("mail", "keys, state and two mails", data, "ok", True, content=content, mail=mails)
    one("no-mail", "the least that there is", small, "ok", True, content=bare)
    empty = file((), of=bare)
    one("empty-mail", "with mail, of which there is none", empty, "ok", True, content=bare, mail=())
    one("wrong-secret", "", data, "WrongSecret", True, secret=bytes(16).hex())
    one("version-2", "a later format", forged(data, 9, b"\x02"), "UnknownVersion", False)
    one("bit-flip", "in the content", flipped(data, front - 20), "Damaged", False)
    one("head-flip", "in the date", flipped(data, 12), "Damaged", False)
    one("mail-flip", "in the mail", flipped(data, front + 60), "Damaged", False)
    one("digest-flip", "", flipped(data, len(data) - 1), "Damaged", False)
    one(
        "mail-changed",
        "with a digest made new",
        digested(flipped(data, front + 60)),
        "Damaged",
        True,
    )
    one("date-changed", "with both checksums made new", forged(data, 18, b"\1"), "Damaged", True)
    one("mail-denied", "said to hold none", forged(data, 10, b"\0"), "Damaged", True)
    one(
        "account-changed",
        "the slots know whose they are",
        forged(data, 23, b"b"),
        "OtherAccount",
        False,
    )
    at = data.index(params.encode()) + 5
    huge = data.replace(
        by_phrase, _wire.finish(by_phrase.replace(params.encode()[5:9], b"\xff" * 4)[:-8])
    )
    one("slot-memory-huge", "4 TiB", forged(huge, at, b"\xff"), "KdfRefused", False)
    one("cut-in-head", "", data[:20], "Damaged", False)
    one("cut-in-content", "", data[: front - 1], "Damaged", False)
    one("cut-before-mail", "with a digest made new", digested(data[: front + 32]), "Damaged", True)
    one("cut-in-mail", "with a digest made new", digested(data[:-1]), "Damaged", True)
    one("cut", "the last octet", data[:-1], "Damaged", False)
    one("empty", "", b"", "Damaged", False)
    one("octet-behind", "", data + b"\0", "Damaged", False)
    one("octet-behind-forged", "", digested(data + b"\0"), "Damaged", True)
    one("octet-behind-small", "", digested(small + b"\0"), "Damaged", True)
    other = file(mails[:1], recover, by_phrase, of=content)
    one(
        "mail-of-another",
        "whole, and not of one piece",
        digested(data[:front] + other[front:]),
        "Damaged",
        True,
    )
    header = small[: len(small) - 32 - len(_backup_content.encode(bare)) - _box.EXTRA - 4]
    odd = _backup_content.encode(bare).replace(b'{"cert', b'{"a":1,"cert', 1)
    made = _box.seal(
        key.raw, b"e2email v1 backup", header + (len(odd) + _box.EXTRA).to_bytes(4), odd
    )
    one("unknown-field", "", digested(made + bytes(32)), "Damaged", True)


if __name__ == "__main__":
    write()
