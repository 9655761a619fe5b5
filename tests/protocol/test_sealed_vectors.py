"""tests/vectors/sealed with real keys in the real worker; each file has the one outcome it says."""

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_protocol.sealed.envelope import BadEnvelope, UnknownVersion
from e2email_protocol.sealed.opened import CopyOfStored, Damaged, NotThisRecord
from e2email_protocol.sealed.render import parse_rendered, rendered_sizes
from support.sealing import RealOpener, opened, vector_opener

FOLDER = Path(__file__).parents[1] / "vectors" / "sealed"
KEYS = json.loads((FOLDER / "keys.json").read_text())
NAMES = sorted(path.stem for path in FOLDER.glob("*.eml"))
REFUSALS = {
    "refused: not this record": NotThisRecord,
    "refused: damaged": Damaged,
    "refused: copy of stored": CopyOfStored,
    "refused: version": UnknownVersion,
    "refused: envelope": BadEnvelope,
}


@pytest.fixture(scope="module")
def opener() -> Iterator[RealOpener]:
    with vector_opener(KEYS) as real:
        yield real


def outcome(expect: str) -> tuple[bool, list[str]]:
    """(proven, alarms) of a vector that opens."""
    return expect != "unproven", ["foreign key"] * ("foreign" in expect) + ["summary"] * (
        "summary" in expect
    )


def test_there_is_a_vector_for_every_outcome() -> None:
    expected = {json.loads((FOLDER / f"{name}.json").read_text())["expect"] for name in NAMES}
    assert expected == {
        "opened", "unproven", "alarm: foreign key", "alarm: summary", *REFUSALS
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_vector(name: str, opener: RealOpener) -> None:
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    rendering = (FOLDER / f"{name}.eml").read_bytes()
    record = parse_rendered(rendering)
    assert record is not None
    assert record.record_id.hex() == vector["id"]
    assert (record.form, record.policy) == (vector["form"], vector["policy"])
    assert rendered_sizes(record)[0] == len(rendering) == vector["size"]
    assert f"{record.crc:06x}" == vector["crc"]
    if vector["expect"] in REFUSALS:
        with pytest.raises(REFUSALS[vector["expect"]]) as caught:
            opened(record, opener)
        assert caught.type is REFUSALS[vector["expect"]]
        return
    mail = opened(record, opener)
    proven, alarms = outcome(vector["expect"])
    assert mail.delivered == b64decode(vector["delivered"])
    assert mail.view == b64decode(vector["view"])
    assert mail.envelope.proven is proven
    assert sorted(alarm.name.lower().replace("_", " ") for alarm in mail.alarms) == alarms
