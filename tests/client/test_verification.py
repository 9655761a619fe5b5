"""Words that two people compare, and codes that they scan."""

import json
from pathlib import Path

import pytest

from e2email_client import qr, verification

VECTORS = Path(__file__).parents[1] / "vectors" / "verification"
A, B = "0" * 40, "A" * 64


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_vectors(path):
    """Each file as it says itself."""
    vector = json.loads(path.read_text())
    given, gives = vector["given"], vector["gives"]
    if "text" in given:
        assert verification.scanned(given["text"]) == gives["fingerprint"]
    else:
        words = verification.both(given["mine"], given["theirs"])
        assert list(words) == gives["words"]


def test_both_sides_see_the_same_and_another_key_changes_half_of_it():
    words = verification.both([A], [B])
    assert words == verification.both([B], [A])
    assert len(words) == 16
    other = verification.both([A], ["1" * 40])
    assert set(verification.half([A])) <= set(words) & set(other)
    assert words != other


def test_keys_are_not_run_together():
    assert verification.half([A, "1" * 40]) != verification.half([A + "1" * 24])
    assert verification.half([A, B]) == verification.half([B, A, A])


def test_a_code_is_read_back():
    assert verification.scanned(verification.code(B)) == B
    assert verification.scanned("\n" + verification.code(A).lower() + "\n") == A
    assert qr.matrix(verification.code(B), qr.LEVEL_SCREEN).size <= 41
