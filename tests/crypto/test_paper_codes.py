"""Codes on paper: parts in any order, and what is said of a missing, foreign or damaged one."""

import random
import re

import pytest

from e2email_crypto import errors, paper_codes
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
