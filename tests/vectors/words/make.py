"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/words/make.py`."""

from e2email_crypto import errors, words
from e2email_crypto._wordlist import INDEX, WORDS
from support.key_vectors import case

R = bytes(range(16))


def write() -> None:
    good = words.encode(R, 14, words.RECOVERY)
    code = words.encode(R, 12, words.PAIRING)

    def one(name: str, about: str, typed: str, label: bytes = words.RECOVERY) -> None:
        count = 12 if label == words.PAIRING else 14
        given = {"words": typed, "count": count, "label": label.decode()}
        try:
            secret = words.decode(typed, count, label)
        except errors.WordsInvalid as fault:
            said = {"positions": list(fault.positions), "advice": fault.advice}
            case("words", name, about, given, "WordsInvalid", **said)
        else:
            case("words", name, about, given, "ok", secret=secret.hex())

    def put(at: int, *new: str) -> str:
        return " ".join([*good[: at - 1], *new, *good[at:]])

    one("recovery", "14 words: 128 bits and 26 of checksum", " ".join(good))
    one("pairing", "12 words: 128 bits and 4 of checksum", " ".join(code), words.PAIRING)
    one("zero", "", " ".join(words.encode(bytes(16), 14, words.RECOVERY)))
    one("ones", "", " ".join(words.encode(b"\xff" * 16, 14, words.RECOVERY)))
    one("capitals", "", " ".join(good).upper())
    one("four-letters", "a word's first four letters are its own", " ".join(w[:4] for w in good))
    one("numbered", "", "\n".join(f"{at}. {word}" for at, word in enumerate(good, 1)))
    one("commas", "", ", ".join(good))
    one("full-width", "compatibility characters: NFKC", put(1, "\uff41bandon"))
    one("invisible", "characters of category Cf fall away", "\u200b".join([" ".join(good), ""]))
    one("misspelt", "one unknown word: the checksum knows it", put(5, "exqire"))
    one("two-misspelt", "the nearest words", put(5, "exqire").replace("cage", "cagee"))
    one("another-word", "in the list, and not the one", put(7, "zebra"))
    one("exchanged", "", put(2, good[2]).replace(" liar liar", " liar amount"))
    one("left-out", "", put(7))
    one("one-too-many", "", put(7, "cage", "zebra"))
    one("two-other-words", "nothing is guessed", put(7, "zebra").replace("drum", "zoo"))
    one("three-letters", "abandon begins so, and others do", put(1, "aba"))
    one("other-label", "a pairing code's label", " ".join(words.encode(R, 14, words.PAIRING)))
    twelve = [*code[:-1], WORDS[INDEX[code[-1]] ^ 1]]
    one(
        "pairing-wrong",
        "four bits of checksum: nothing is guessed",
        " ".join(twelve),
        words.PAIRING,
    )
    one("empty", "", "")


if __name__ == "__main__":
    write()
