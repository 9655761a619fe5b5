"""Words of a secret: what may be typed, and what is said of each slip."""

import hashlib

import pytest

from e2email_crypto import _slips, _spelling, errors, recovery, words
from e2email_crypto._wordlist import INDEX, WORDS

SECRET = bytes(range(16))
GOOD = recovery.to_words(SECRET)


def refused(typed: str, count: int = 14, label: bytes = words.RECOVERY) -> errors.WordsInvalid:
    with pytest.raises(errors.WordsInvalid) as caught:
        words.decode(typed, count, label)
    return caught.value


def changed(at: int, word: str) -> str:
    return " ".join([*GOOD[: at - 1], word, *GOOD[at:]])


def test_the_list_is_the_published_one() -> None:
    """BIP-39's english.txt, each word with a line end."""
    octets = "".join(f"{word}\n" for word in WORDS).encode()
    assert hashlib.sha256(octets).hexdigest() == (
        "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda"
    )
    assert len({word[:4] for word in WORDS}) == 2048


@pytest.mark.parametrize(("count", "label"), [(14, words.RECOVERY), (12, words.PAIRING)])
@pytest.mark.parametrize("secret", [bytes(16), b"\xff" * 16, SECRET])
def test_there_and_back(count: int, label: bytes, secret: bytes) -> None:
    made = words.encode(secret, count, label)
    assert len(made) == count
    assert words.decode(" ".join(made), count, label) == secret


@pytest.mark.parametrize(
    "typed",
    [
        "\n".join(f"{at}. {word.upper()}" for at, word in enumerate(GOOD, 1)),
        ", ".join(GOOD),
        "  ".join(word[:4].title() for word in GOOD) + " ",
        "\t".join(f"{at:>2}) {word}" for at, word in enumerate(GOOD, 1)),
        "“" + " – ".join(GOOD) + "”",
        "\ufeff" + "\u200b ".join(GOOD),
        "\u3000".join(GOOD),
        " ".join(GOOD).translate({ord("a"): "\uff41"}),  # a full-width letter, as some paste
        " ".join(word[:5] for word in GOOD),
    ],
)
def test_what_people_and_clipboards_make_of_words(typed: str) -> None:
    assert recovery.from_words(typed) == SECRET


def test_a_label_is_part_of_the_checksum() -> None:
    refused(" ".join(words.encode(SECRET, 14, words.PAIRING)))


@pytest.mark.parametrize("at", [1, 7, 14])
def test_a_misspelt_word_is_pointed_at_and_the_checksum_knows_it(at: int) -> None:
    wrong = GOOD[at - 1][:-1] + "q"
    fault = refused(changed(at, wrong))
    assert fault.positions == (at,)
    assert fault.advice == f"Word {at}, “{wrong}”, is probably “{GOOD[at - 1]}”."


def test_an_illegible_word_is_found_by_the_checksum() -> None:
    assert refused(changed(9, "???x")).advice == f"Word 9, “???x”, is probably “{GOOD[8]}”."


def test_several_misspelt_words_are_all_pointed_at() -> None:
    fault = refused(changed(3, "liqr").replace("expire", "expjre").replace("lava", "wwwwwwww"))
    assert fault.positions == (3, 5, 14)
    assert fault.advice.split("\n") == [
        "Word 3, “liqr”, is not in the list: “liar”?",
        "Word 5, “expjre”, is not in the list: “expire”?",
        "Word 14, “wwwwwwww”, is not in the list.",
    ]


@pytest.mark.parametrize("at", [1, 6, 14])
def test_another_word_of_the_list_is_found_and_only_probably(at: int) -> None:
    other = "zebra"
    fault = refused(changed(at, other))
    assert fault.positions == (at,)
    assert fault.advice == f"Word {at} is probably “{GOOD[at - 1]}”, not “{other}”."


@pytest.mark.parametrize("at", [1, 5, 13])
def test_two_neighbours_exchanged(at: int) -> None:
    bent = [*GOOD]
    bent[at - 1], bent[at] = bent[at], bent[at - 1]
    fault = refused(" ".join(bent))
    assert fault.positions == (at, at + 1)
    assert fault.advice == f"Words {at} and {at + 1} are probably in the wrong order."


def test_a_word_left_out_and_one_too_many() -> None:
    fault = refused(" ".join([*GOOD[:6], *GOOD[7:]]))
    assert fault.advice.split("\n") == [
        "14 words are asked for, 13 are here.",
        f"Word 7 was probably left out: “{GOOD[6]}”.",
    ]
    fault = refused(changed(3, "liar zebra"))
    assert fault.advice.split("\n") == [
        "14 words are asked for, 15 are here.",
        "Word 4, “zebra”, is probably one too many.",
    ]


def test_two_slips_are_not_guessed_at() -> None:
    fault = refused(changed(3, "zebra").replace("expire", "abandon"))
    assert fault.positions == ()
    assert "together they are not right" in fault.advice
    assert "probably" not in fault.advice


def test_with_four_bits_of_checksum_nothing_is_guessed() -> None:
    """Of 24 564 repairs some 1500 would fit."""
    code = [*words.encode(SECRET, 12, words.PAIRING)]
    other = [*code[:-1], WORDS[INDEX[code[-1]] ^ 1]]  # the same secret with another checksum
    fault = refused(" ".join(other), 12, words.PAIRING)
    assert fault.positions == ()
    assert "together they are not right" in fault.advice
    assert "probably" not in fault.advice
    near = refused(" ".join(["zebro", *code[1:]]), 12, words.PAIRING)
    assert near.advice == "Word 1, “zebro”, is not in the list: “zebra” or “zero”?"
    assert "probably" not in refused(" ".join(code[1:]), 12, words.PAIRING).advice


@pytest.mark.parametrize("typed", ["", " \n", "1. 2. 3.", "zoo " * 201, "x" * 5_000_000])
def test_nothing_and_far_too_much(typed: str) -> None:
    assert "14 words are asked for" in refused(typed).advice


def test_every_other_word_in_every_place_is_refused() -> None:
    places = [INDEX[word] for word in GOOD]
    for at in range(14):
        for place in range(0, 2048, 7):
            if place != places[at]:
                bent = [*places[:at], place, *places[at + 1 :]]
                secret, check = words._parts(bent, 26)
                assert words._checksum(secret, 26, words.RECOVERY) != check


def test_no_word_is_in_an_error_but_in_its_advice() -> None:
    for typed in (changed(3, "liqr"), changed(3, "zebra"), " ".join(GOOD[:-1])):
        fault = refused(typed)
        said = f"{fault} {fault!r} {fault.args}"
        assert not any(word in said for word in [*GOOD, "liqr", "zebra"])
        assert "word" in said
    assert "liqr" not in repr(_spelling.Stranger(1, "liqr", ("liar",)))
    far = _spelling.strangers(["abandin"] * 25, [None] * 25, INDEX)
    assert [bool(one.nearest) for one in far] == [True] * 20 + [False] * 5
    assert "liqr" not in repr(_slips.Slip("cause", ("word 1, “liqr”, is not in the list",)))


def test_what_was_typed_is_shown_without_what_moves_a_terminal() -> None:
    assert "\x1b" not in refused(changed(3, "li\x1b[2Jar")).advice


def test_misuse_is_a_value_error() -> None:
    for secret, count in ((b"short", 14), (SECRET, 11), (SECRET, 15)):
        with pytest.raises(ValueError):
            words.encode(secret, count, words.RECOVERY)


@pytest.mark.parametrize(
    ("one", "other", "far"),
    [("castle", "castle", 0), ("castle", "cattle", 1), ("caslte", "castle", 1),
     ("cstle", "castle", 1), ("castles", "castle", 1), ("", "abc", 3), ("ca", "abc", 3)],
)  # fmt: skip
def test_distance(one: str, other: str, far: int) -> None:
    assert _spelling.distance(one, other) == _spelling.distance(other, one) == far
