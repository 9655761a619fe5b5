"""Writes the missing vectors beside it: `PYTHONPATH=tests python tests/vectors/kdf/make.py`."""

from typing import Any

from e2email_crypto import kdf
from support.key_vectors import ACCOUNT, OTHER, SERVER, case


def write() -> None:
    params = kdf.Params(3, kdf.M_KIB_MIN, bytes(range(16)))

    def derive(name: str, about: str, passphrase: str, **other: Any) -> None:
        given = {"passphrase": passphrase, "account": ACCOUNT, "server_name": SERVER} | other
        used = other.get("params", params)
        split = kdf.split(passphrase, used, given["account"], given["server_name"])
        given["params"] = used.encode().hex()
        case("kdf", name, about, given, "ok", auth=split.auth.hex(), wrap=split.wrap.hex())

    def refuse(name: str, about: str, encoded: bytes, expect: str, passphrase: str = "x") -> None:
        given = {"passphrase": passphrase, "account": ACCOUNT, "server_name": SERVER}
        case("kdf", name, about, given | {"params": encoded.hex()}, expect)

    def cost(t: int, m_kib: int) -> bytes:
        return b"\x01" + t.to_bytes(4) + m_kib.to_bytes(4) + bytes(16)

    derive("plain", "an ASCII passphrase", "correct horse battery staple")
    derive("composed", "U+00E9", "caf\u00e9")
    derive("decomposed", "e and U+0301: as composed", "cafe\u0301")
    derive("space", "two words with U+0020", "caf\u00e9 noir")
    derive("no-break-space", "U+00A0, typed on a Mac: as space", "caf\u00e9\u00a0noir")
    derive(
        "name-case",
        "names in capitals: as plain",
        "correct horse battery staple",
        account=ACCOUNT.upper(),
        server_name=SERVER.upper(),
    )
    derive(
        "other-account",
        "another account, other keys",
        "correct horse battery staple",
        account=OTHER,
    )
    derive(
        "other-server",
        "another server, other keys",
        "correct horse battery staple",
        server_name="mail.example.org",
    )
    derive(
        "default-cost",
        "256 MiB",
        "correct horse battery staple",
        params=kdf.Params(3, kdf.M_KIB_DEFAULT, bytes(range(16))),
    )
    refuse("time-below-floor", "t = 2", cost(2, kdf.M_KIB_MIN), "KdfRefused")
    refuse("time-above-ceiling", "t = 11", cost(11, kdf.M_KIB_MIN), "KdfRefused")
    refuse("time-huge", "t = 10^9", cost(10**9, kdf.M_KIB_MIN), "KdfRefused")
    refuse("memory-below-floor", "64 MiB less 1 KiB", cost(3, kdf.M_KIB_MIN - 1), "KdfRefused")
    refuse("memory-tiny", "8 KiB", cost(3, 8), "KdfRefused")
    refuse("memory-above-ceiling", "1 GiB and 1 KiB", cost(3, kdf.M_KIB_MAX + 1), "KdfRefused")
    refuse("memory-huge", "2^31 KiB", cost(3, 2**31), "KdfRefused")
    refuse("unknown-kdf", "KDF id 2", b"\x02" + params.encode()[1:], "UnknownVersion")
    refuse("params-short", "the salt lacks an octet", params.encode()[:-1], "Damaged")
    refuse("params-empty", "no octet", b"", "Damaged")
    refuse("empty-passphrase", "not a passphrase", params.encode(), "ValueError", "")
    refuse("control-character", "a line end typed along", params.encode(), "ValueError", "x\n")
    refuse("long-passphrase", "1025 octets", params.encode(), "ValueError", "x" * 1025)


if __name__ == "__main__":
    write()
