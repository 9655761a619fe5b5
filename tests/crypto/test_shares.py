"""Shares of the recovery secret: which are enough, and what is said when something is wrong."""

from itertools import combinations

import pytest
import shamir_mnemonic

from e2email_crypto import _slip39, errors, shares
from e2email_crypto.errors import ShareFault

SECRET = bytes(range(16))
WORDS = shares.split(SECRET, 3, 5)
TEXTS = [" ".join(words) for words in WORDS]
OTHERS = [" ".join(words) for words in shares.split(SECRET, 3, 5)]


def refused(*texts: str) -> errors.ShareInvalid:
    with pytest.raises(errors.ShareInvalid) as caught:
        shares.combine(texts)
    return caught.value


def bent(number: int, at: int, word: str) -> list[str]:
    """Three shares, word `at` of share `number` replaced."""
    words = [list(one) for one in WORDS[:3]]
    words[number - 1][at - 1] = word
    return [" ".join(one) for one in words]


def test_any_three_of_five() -> None:
    for chosen in combinations(TEXTS, 3):
        assert shares.combine(chosen) == SECRET


def test_any_order_and_more_than_needed() -> None:
    assert shares.combine(TEXTS[::-1]) == SECRET
    assert shares.combine(TEXTS[1:]) == SECRET


@pytest.mark.parametrize(("needed", "count"), [(2, 2), (2, 16), (16, 16), (3, 4)])
def test_every_size(needed: int, count: int) -> None:
    made = [" ".join(words) for words in shares.split(SECRET, needed, count)]
    assert len(made) == count
    assert shares.combine(made[count - needed :]) == SECRET
    assert refused(*made[: needed - 1]).fault is ShareFault.TOO_FEW


@pytest.mark.parametrize(("needed", "count"), [(1, 1), (1, 3), (4, 3), (2, 17), (0, 2)])
def test_sizes_that_are_refused(needed: int, count: int) -> None:
    with pytest.raises(ValueError, match="shares"):
        shares.split(SECRET, needed, count)
    with pytest.raises(ValueError, match="16 bytes"):
        shares.split(bytes(32), 2, 3)


def test_other_programs_combine_them() -> None:
    assert shamir_mnemonic.combine_mnemonics(TEXTS[:3]) == SECRET
    (group,) = shamir_mnemonic.generate_mnemonics(1, [(2, 3)], SECRET, extendable=False)
    assert shares.combine(group[1:]) == SECRET


def test_two_splittings_share_no_word_but_by_chance() -> None:
    assert TEXTS != OTHERS
    assert shares.combine(OTHERS[:3]) == SECRET


def test_what_people_make_of_words() -> None:
    typed = ["\n".join(f"{at}. {w[:4].upper()}" for at, w in enumerate(s, 1)) for s in WORDS[:3]]
    assert shares.combine(typed) == SECRET


def test_too_few_says_how_many_are_missing() -> None:
    fault = refused(*TEXTS[:2])
    assert (fault.fault, fault.missing) == (ShareFault.TOO_FEW, 1)
    assert fault.advice == "2 of the 3 shares that are needed are here; 1 more."
    assert refused(TEXTS[0]).advice == "1 of the 3 shares that are needed is here; 2 more."
    assert refused().fault is ShareFault.TOO_FEW


def test_a_mistyped_word_is_named_with_its_share() -> None:
    fault = refused(*bent(2, 7, "xxxxxxxx"))
    assert (fault.fault, fault.shares, fault.positions) == (ShareFault.MISTYPED, (2,), (7,))
    assert fault.advice == f"Share 2: word 7, “xxxxxxxx”, is probably “{WORDS[1][6]}”."


def test_another_word_of_the_list_is_named_with_its_share() -> None:
    other = "academic" if WORDS[2][10] != "academic" else "zero"
    fault = refused(*bent(3, 11, other))
    assert (fault.shares, fault.positions) == ((3,), (11,))
    assert fault.advice == f"Share 3: word 11 is probably “{WORDS[2][10]}”, not “{other}”."


def test_every_other_word_in_every_place_is_refused() -> None:
    for words in WORDS:
        places = [_slip39.INDEX[word] for word in words]
        assert _slip39.checksum_fits(places)
        for at in range(20):
            for place in range(at % 11, 1024, 11):
                if place != places[at]:
                    assert not _slip39.checksum_fits([*places[:at], place, *places[at + 1 :]])


def test_a_share_cut_short() -> None:
    fault = refused(TEXTS[0], " ".join(WORDS[1][:12]), TEXTS[2])
    assert (fault.fault, fault.shares) == (ShareFault.MISTYPED, (2,))
    assert fault.advice == "Share 2: 20 words are asked for, 12 are here."


def test_shares_of_two_sets() -> None:
    fault = refused(TEXTS[0], OTHERS[1], TEXTS[2])
    assert (fault.fault, fault.shares) == (ShareFault.OTHER_SET, (2,))
    fault = refused(TEXTS[0], OTHERS[1], OTHERS[2], TEXTS[1], TEXTS[2])
    assert fault.shares == (2, 3)
    with pytest.raises(errors.ShareInvalid):
        shares.check_together([shares.read(TEXTS[0]), shares.read(OTHERS[0])])


def test_two_sets_that_bear_the_same_number_by_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_slip39.shamir, "_random_identifier", lambda: 4711)
    one, other = (
        [" ".join(words) for words in shares.split(secret, 2, 3)] for secret in (SECRET, bytes(16))
    )
    assert refused(one[0], other[1]).fault is ShareFault.OTHER_SET
    assert refused(one[0], other[0]).shares == (1, 2)
    assert refused(one[0], one[1], other[2]).fault is ShareFault.OTHER_SET


def test_the_same_share_twice() -> None:
    fault = refused(TEXTS[0], TEXTS[1], TEXTS[0].upper())
    assert (fault.fault, fault.shares) == (ShareFault.TWICE, (1, 3))
    assert fault.advice == "Shares 1 and 3 are the same one."


def test_more_than_any_set_has() -> None:
    assert refused(*TEXTS * 4).fault is ShareFault.TOO_MANY


def test_shares_of_other_kinds() -> None:
    groups = shamir_mnemonic.generate_mnemonics(2, [(2, 3), (2, 3)], SECRET)
    alone = shamir_mnemonic.generate_mnemonics(1, [(1, 1)], SECRET)
    slow = shamir_mnemonic.generate_mnemonics(1, [(2, 2)], SECRET, iteration_exponent=6)
    for text in (groups[0][0], alone[0][0], slow[0][0]):
        assert refused(text, TEXTS[0]).fault is ShareFault.FOREIGN
    longer = shamir_mnemonic.generate_mnemonics(1, [(2, 3)], bytes(32))[0]
    assert "20 words are asked for, 33 are here" in refused(*longer).advice


def test_fewer_than_needed_say_nothing() -> None:
    """Two of three fit every secret: the third point can be put anywhere."""
    for share in TEXTS[:2]:
        assert SECRET.hex() not in share
    raws = [shares.read(text)._raw for text in TEXTS[:2]]
    with pytest.raises(errors.Damaged):
        _slip39.combine(raws)


def test_no_word_is_in_an_error_or_repr_but_in_its_advice() -> None:
    faults = [refused(*bent(2, 7, "xxxxxxxx")), refused(TEXTS[0], OTHERS[1], TEXTS[2])]
    for fault in faults:
        said = f"{fault} {fault!r} {fault.args}".split()
        assert not set(said) & {*WORDS[0], *WORDS[1], *WORDS[2], "xxxxxxxx"}
    assert repr(shares.read(TEXTS[0])) == "Share(needed=3)"
