"""Codes on paper: parts in any order, and what is said of a missing, foreign or damaged one."""

import random
import re

import pytest

from e2email_crypto import code_text, errors, paper_codes
from e2email_crypto.code_text import CodeText, Kind
from e2email_crypto.errors import PartFault

DATA = random.Random(4).randbytes(1300)
PARTS = paper_codes.encode(DATA)
OTHERS = paper_codes.encode(DATA[:-1])


def refused(*texts: str) -> errors.PartsInvalid:
    with pytest.raises(errors.PartsInvalid) as caught:
        paper_codes.decode(texts)
    return caught.value


def test_any_order_twice_and_as_they_are_typed() -> None:
    assert len(PARTS) == 3
    assert paper_codes.decode(PARTS) == DATA
    assert paper_codes.decode([PARTS[2], "", PARTS[0], PARTS[2], PARTS[1], " \n"]) == DATA
    wrapped = ["\n ".join(re.findall(".{1,60}", part)).lower() for part in PARTS]
    assert paper_codes.decode(wrapped) == DATA


@pytest.mark.parametrize("size", [1, 511, 512, 513, 200 * 512])
def test_every_size(size: int) -> None:
    parts = paper_codes.encode(DATA[:1] * size)
    assert len(parts) == -(-size // 512)
    assert paper_codes.decode(parts[::-1]) == DATA[:1] * size


@pytest.mark.parametrize("size", [0, 200 * 512 + 1])
def test_sizes_that_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="paper"):
        paper_codes.encode(bytes(size))


def test_they_fit_the_dense_mode_of_a_code() -> None:
    for part in paper_codes.encode(bytes(200 * 512)):
        assert re.fullmatch(r"[0-9A-Z $%*+\-./:]+", part)
        assert len(part) < 900


def test_a_missing_part_is_named() -> None:
    fault = refused(PARTS[0])
    assert (fault.fault, fault.parts) == (PartFault.MISSING, (2, 3))
    assert str(fault) == "Of 3 codes these are missing: 2, 3."
    assert refused().fault is PartFault.NOT_A_PART


def test_parts_of_two_sets() -> None:
    fault = refused(PARTS[0], OTHERS[1], PARTS[2])
    assert (fault.fault, fault.parts) == (PartFault.OTHER_SET, (2,))
    assert str(fault) == "Line 2 is of another set than the ones before it."


def test_every_changed_character_is_refused() -> None:
    part = PARTS[2]
    for at, char in enumerate(part):
        other = "A" if char != "A" else "B"
        fault = refused(PARTS[0], PARTS[1], part[:at] + other + part[at + 1 :])
        assert fault.fault in {PartFault.NOT_A_PART, PartFault.DAMAGED}
        digits = (
            refused(PARTS[0], PARTS[1], part[:at] + "7" + part[at + 1 :])
            if (char != "7")
            else fault
        )
        assert digits.fault is not PartFault.MISSING


def test_a_damaged_part_is_named() -> None:
    bent = PARTS[1][:-3] + ("A" if PARTS[1][-3] != "A" else "B") + PARTS[1][-2:]
    fault = refused(PARTS[0], bent, PARTS[2])
    assert (fault.fault, fault.parts) == (PartFault.DAMAGED, (2,))
    assert str(fault) == "Code 2, in line 2, is damaged."
    assert refused(PARTS[0], PARTS[1][:-8], PARTS[2]).parts == (2,)
    renumbered = PARTS[1].replace(":2/3:", ":3/3:")
    assert refused(PARTS[0], renumbered).fault is PartFault.DAMAGED


def test_other_texts_and_versions() -> None:
    for text in ("hello", "e2email-recovery:1:a:b:c", "E2EMAIL-VAULT", "E2EMAIL-VAULT:1:1/1::"):
        assert refused(text).fault is PartFault.NOT_A_PART
    fault = refused(PARTS[0].replace("VAULT:1:", "VAULT:2:"))
    assert fault.fault is PartFault.OTHER_VERSION
    for number in ("0/3", "4/3", "1/201"):
        assert refused(PARTS[0].replace("1/3", number)).fault is PartFault.DAMAGED


WORDS = ("abandon", "zoo", "liar")
CODE = CodeText(Kind.RECOVERY, "alice@example.test", "mail.example.test", WORDS)


def test_the_text_of_a_code_there_and_back() -> None:
    assert CODE.encode() == (
        "e2email-recovery:1:alice@example.test:mail.example.test:abandon-zoo-liar"
    )
    assert code_text.decode(f" {CODE.encode()}\n") == CODE
    share = CodeText(Kind.SHARE, "älice+x@example.test", "::1", WORDS)
    assert code_text.decode(share.encode()) == share
    pair = CodeText(Kind.PAIR, *("alice@example.test", "mail.example.test"), WORDS,
                    "https://mail.example.test:8443/x?a=%20")  # fmt: skip
    assert code_text.decode(pair.encode()) == pair
    assert pair.encode().count(":") == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "https://example.test",
        "e2email-recovery",
        "e2email-recovery:1:",
        "e2email-recovery:1:a@b:c",
        "e2email-recovery:1:a@b:c:",
        "e2email-recovery:1:a@b::abandon",
        "e2email-recovery:1:a@b:c:abandon:https",
        "e2email-recovery:1:a@b:c:aban don",
        "e2email-recovery:1:a@b:c:abandon-",
        "e2email-recovery:1:%ff@b:c:abandon",
        "e2email-recovery:1:%1b[2J@b:c:abandon",
        "e2email-pair:1:a@b:c:abandon",
        "e2email-recovery:2:a@b:c:abandon",
        "e2email-recovery:1:a@b:c:abandon" + "-abandon" * 400,
    ],
)
def test_other_texts_are_no_code(text: str) -> None:
    with pytest.raises(errors.BadCode) as caught:
        code_text.decode(text)
    assert "abandon" not in str(caught.value)


def test_another_version_is_named() -> None:
    with pytest.raises(errors.BadCode, match="another version"):
        code_text.decode("e2email-pair:9:whatever")


def test_what_could_not_be_read_is_not_written() -> None:
    for bad in (
        CodeText(Kind.RECOVERY, "Alice@Example.test", "m", WORDS),
        CodeText(Kind.RECOVERY, "a@b", "m", ("two words",)),
        CodeText(Kind.RECOVERY, "a@b", "m", ()),
        CodeText(Kind.RECOVERY, "a@b", "m", WORDS, "https://x"),
        CodeText(Kind.PAIR, "a@b", "m", WORDS),
    ):
        with pytest.raises(ValueError, match="code"):
            bad.encode()


def test_no_word_in_a_repr() -> None:
    assert "abandon" not in repr(CODE)
