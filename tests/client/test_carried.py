"""Mail that is moved or duplicated by nobody on this machine is told; what programs do is not."""

from collections.abc import AsyncIterator

import pytest

from e2email_client.local.cache import open_state
from e2email_client.local.carried import Carried
from support.home import Home, eventually, home
from support.sealed_face import house


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


def told(here: Home) -> list[tuple[str, int]]:
    return [(one.mailbox, one.count) for one in Carried(here.state).elsewhere()]


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server, home(server, tmp_path, monkeypatch) as made:
        await eventually(lambda: made.live.online)
        await server.deliver(mail(1), mail(2), mail(3))
        await made.shown(1, 2, 3)
        await eventually(lambda: made.local("Archive") and made.local("Archive").complete)
        yield made


async def test_what_a_program_here_does_is_no_news(here: Home) -> None:
    talk = await here.talk().login()
    await talk.ok(b"UID COPY 1 Archive")
    await talk.ok(b"UID MOVE 2 Archive")
    await talk.ok(b"UID COPY 3 INBOX")
    await here.shown(1, 2, name="Archive")
    await here.shown(1, 3, 4)
    assert told(here) == []


async def test_what_another_moved_or_doubled_is_told_until_acknowledged(here: Home) -> None:
    other = await here.remote()
    await other.select("INBOX")
    await other.copy([1, 2], "Archive")
    await here.live.reached.everything()
    await here.shown(1, 2, name="Archive")
    await other.move([3], "Archive")
    await here.live.reached.everything()
    await here.shown(1, 2, 3, name="Archive")
    await other.copy([1], "INBOX")
    await here.shown(1, 2, 4)
    assert told(here) == [("Archive", 3), ("INBOX", 1)]
    carried = Carried(here.state)
    before = carried.elsewhere()
    await other.copy([2], "Archive")
    await here.live.reached.everything()
    await here.shown(1, 2, 3, 4, name="Archive")
    carried.acknowledge(before)  # what came since stays
    assert told(here) == [("Archive", 1)]
    other.close()


async def test_new_mail_is_no_duplicate(here: Home) -> None:
    await here.server.deliver(mail(1))  # the same octets, another record
    await here.shown(1, 2, 3, 4)
    assert told(here) == []


def test_an_expectation_is_good_for_one_message_and_a_day(tmp_path, monkeypatch) -> None:
    state = open_state(tmp_path / "state.db", bytes(32))
    carried = Carried(state)
    monkeypatch.setattr("time.time", lambda: 1_000_000)
    carried.expect("a", ["x", "y"])
    carried.seen("a", ["x", "x"])
    monkeypatch.setattr("time.time", lambda: 1_100_000)
    carried.expect("a", ["z"])
    carried.seen("a", ["y", "z"])
    assert [(one.mailbox, one.count, one.since) for one in carried.elsewhere()] == [
        ("a", 2, 1_000_000)
    ]
    assert "'a'" not in repr(carried.elsewhere())
    state.close()
