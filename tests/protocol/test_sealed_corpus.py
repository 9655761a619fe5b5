"""Every corpus message, under both policies: sealed, rendered, read back, opened, restored."""

import random

import pytest

from e2email_protocol.sealed.envelope import MAX_ENVELOPE, Body
from e2email_protocol.sealed.record import Policy
from e2email_protocol.sealed.render import parse_rendered, render, rendered_sizes
from support.corpus import messages
from support.sealing import TRACE, FakeIdentity, composed, opened

ALICE = FakeIdentity()


@pytest.mark.parametrize("policy", list(Policy))
def test_octets_come_back(policy: Policy) -> None:
    kinds = dict.fromkeys(Body, 0)
    for name, octets in messages():
        record = composed(octets, ALICE, policy=policy)
        mail = opened(record, ALICE)
        assert mail.delivered == TRACE + octets, name
        assert mail.received == octets, name
        assert mail.view == mail.delivered, name
        assert mail.envelope.proven, name
        assert not mail.alarms, name
        assert len(ALICE.open(record.envelope, 1 << 20).plaintext) <= MAX_ENVELOPE + 256, name
        kinds[mail.envelope.envelope.body] += 1
    assert kinds[Body.CHANGED] > 250
    assert kinds[Body.WHOLE] > 0
    assert kinds[Body.VERBATIM] == 0


@pytest.mark.parametrize("policy", list(Policy))
def test_rendering_is_clean_seekable_and_read_back(policy: Policy) -> None:
    chance = random.Random(3156)
    for name, octets in messages():
        record = composed(octets, ALICE, policy=policy)
        rendered = render(record)
        whole = rendered.read(0, 1 << 30)
        assert (len(whole), len(rendered.header)) == rendered_sizes(record), name
        assert whole.isascii(), name
        lines = whole.split(b"\r\n")
        assert max(map(len, lines)) <= 998, name
        assert not any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines), name
        for _ in range(10):
            start, count = chance.randrange(rendered.size + 9), chance.randrange(rendered.size + 9)
            assert rendered.read(start, count) == whole[start : start + count], name
        assert parse_rendered(whole) == record, name


def test_sealed_policy_shows_nobody() -> None:
    outers = {composed(octets, ALICE).outer for _, octets in messages()}
    assert len(outers) == 1
