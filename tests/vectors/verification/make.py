"""Writes missing vectors: `PYTHONPATH=tests python tests/vectors/verification/make.py`."""

from e2email_client import verification
from support.key_vectors import case

A, B = "0123456789ABCDEF0123456789ABCDEF01234567", "F" * 40
V6 = "00112233445566778899AABBCCDDEEFF" * 2


def write() -> None:
    def words(name: str, about: str, mine: list[str], theirs: list[str]) -> None:
        case(
            "verification",
            name,
            about,
            {"mine": mine, "theirs": theirs},
            "ok",
            words=list(verification.both(mine, theirs)),
        )

    def code(name: str, about: str, text: str, fingerprint: str | None) -> None:
        given, expect = {"text": text}, "ok" if fingerprint else "NotACode"
        case("verification", name, about, given, expect, fingerprint=fingerprint)

    words("pair", "one key on each side", [A], [B])
    words("pair-turned", "the same, seen by the other side", [B], [A])
    words("version-6", "a fingerprint of 32 octets", [A], [V6])
    words("several", "an account with two keys, in any order", [V6, A], [B])
    words("same", "a key compared with itself", [A], [A])
    code("code", "", f"OPENPGP4FPR:{A}", A)
    code("code-lower", "as some programs write it", f"openpgp4fpr:{A.lower()}", A)
    code("code-more", "with what Delta Chat adds", f"OPENPGP4FPR:{V6}#a=bob%40example.net", V6)
    code("code-short", "a digit lacks", f"OPENPGP4FPR:{A[1:]}", None)
    code("code-key-id", "", f"OPENPGP4FPR:{A[-16:]}", None)
    code("code-other", "", f"https://example.net/{A}", None)


if __name__ == "__main__":
    write()
