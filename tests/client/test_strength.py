"""Which new passphrases are taken, and what is said of the others."""

import pytest

from e2email_client.failure import WrongSecret
from e2email_client.strength import LOOKED_AT, require

ADDRESS = "alice.liddell@example.org"


@pytest.mark.parametrize(
    "passphrase",
    [
        "correct horse battery",
        "seven umbrellas on Thursday",
        "uh4-Qx9_wz7k",
        "alice has seven umbrellas on Thursday",
        "zwölf Boxkämpfer jagen Viktor",
        "correct horse battery " * 40,
    ],
)
def test_taken(passphrase: str) -> None:
    require(passphrase, ADDRESS)


WEAK = {
    "": "short",
    "short": "short",
    "password1": "common",
    "qwertyuiop1234": "common",
    "Tr0ub4dour&3": "substitutions",
    "aaaaaaaaaaaaaaaaaaaa": "epeat",
    "alice.liddell@example.org": "address",
    "Alice-Liddell-2026": "address",
    "x8f#kQ2m9": "short",
}


@pytest.mark.parametrize("passphrase", WEAK)
def test_refused_with_the_reason(passphrase: str) -> None:
    with pytest.raises(WrongSecret, match="too easy to guess") as caught:
        require(passphrase, ADDRESS)
    said = str(caught.value)
    assert said.endswith("make a good passphrase.")
    assert not passphrase or passphrase not in said


@pytest.mark.parametrize(("passphrase", "word"), [one for one in WEAK.items() if one[1] != "short"])
def test_what_is_weak_about_it(passphrase: str, word: str) -> None:
    with pytest.raises(WrongSecret, match=word):
        require(passphrase, ADDRESS)


def test_what_is_long_is_looked_at_in_part() -> None:
    """A thousand letters do not take a second."""
    with pytest.raises(WrongSecret):
        require("a" * 100_000, ADDRESS)
    assert LOOKED_AT == 100
