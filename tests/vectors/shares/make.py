"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/shares/make.py`."""

import shamir_mnemonic

from e2email_crypto import errors, shares
from support.key_vectors import VECTORS, case

R = bytes(range(16))


def write() -> None:
    if list((VECTORS / "shares").glob("*.json")):
        return  # shares are drawn afresh each time, and the cases below are about one set
    made = [" ".join(words) for words in shares.split(R, 3, 5)]
    other = [" ".join(words) for words in shares.split(R, 3, 5)]
    two = [" ".join(words) for words in shares.split(b"\xff" * 16, 2, 2)]

    def one(name: str, about: str, *texts: str) -> None:
        given = {"shares": list(texts)}
        try:
            secret = shares.combine(texts)
        except errors.ShareInvalid as fault:
            said = {
                "fault": fault.fault.value,
                "shares": list(fault.shares),
                "positions": list(fault.positions),
                "missing": fault.missing,
            }
            case("shares", name, about, given, "ShareInvalid", **said)
        else:
            case("shares", name, about, given, "ok", secret=secret.hex())

    def bent(text: str, at: int, word: str) -> str:
        words = text.split()
        assert words[at - 1] != word
        return " ".join([*words[: at - 1], word, *words[at:]])

    one("three-of-five", "", *made[:3])
    one("three-others", "in another order", made[4], made[1], made[3])
    one("all-five", "more than needed are checked, too", *made)
    one("two-of-two", "", *two)
    one("four-letters", "", *(" ".join(w[:4] for w in text.split()) for text in made[:3]))
    (old,) = shamir_mnemonic.generate_mnemonics(1, [(2, 3)], R, extendable=False)
    one("not-extendable", "by another program, with the older checksum", *old[:2])
    one("too-few", "one more", *made[:2])
    one("none", "")
    one("twice", "the first and the third are the same", made[0], made[1], made[0])
    one("two-sets", "the second is of another splitting", made[0], other[1], made[2])
    one("misspelt", "word 7 of share 2", made[0], bent(made[1], 7, "qqqqq"), made[2])
    one("another-word", "word 9 of share 1", bent(made[0], 9, "zero"), *made[1:3])
    one("cut", "twelve words of share 3", *made[:2], " ".join(made[2].split()[:12]))
    one("too-many", "no set has seventeen", *made * 4)
    groups = shamir_mnemonic.generate_mnemonics(1, [(2, 3), (2, 3)], R)
    one("groups", "SLIP-39 has groups, e2email not", *groups[0][:2])
    (slow,) = shamir_mnemonic.generate_mnemonics(1, [(2, 2)], R, iteration_exponent=6)
    one("slow", "more stretching than is taken", *slow)


if __name__ == "__main__":
    write()
