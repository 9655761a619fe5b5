"""An account followed on a real sealed face: whatever happens there is seen here."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from e2email_client import live as live_module
from e2email_client.failure import Offline, Refused
from e2email_client.local import contents, mailboxes, reads
from e2email_client.local.mails import State
from support.home import Home, eventually, home
from support.sealed_face import house

WHEN = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def mail(number: int) -> bytes:
    return b"From: bob@example.net\r\nSubject: %d\r\n\r\nbody %d\r\n" % (number, number)


@pytest.fixture
async def here(tmp_path, monkeypatch) -> AsyncIterator[Home]:
    async with house() as server, home(server, tmp_path, monkeypatch) as made:
        await eventually(lambda: made.live.online)
        yield made


def states(here: Home, name: str = "INBOX") -> list[State]:
    local = here.local(name)
    found = reads.known(here.cache, local.id, here.uids(name))
    return [one.state for one in found]


async def test_mail_is_listed_opened_and_pushed(here: Home) -> None:
    await here.server.deliver(mail(1), mail(2))
    await here.shown(1, 2)
    await here.server.deliver(mail(3))
    await here.shown(1, 2, 3)
    await eventually(lambda: states(here) == [State.OPENED] * 3)


async def test_flags_changed_elsewhere(here: Home) -> None:
    await here.server.deliver(mail(1), mail(2))
    await here.shown(1, 2)
    other = await here.remote()
    await other.select("INBOX")
    await other.store([2], "+FLAGS", ["\\Seen", "work"])
    await eventually(
        lambda: contents.server_flags(here.cache, here.local().id)[2] == {"\\Seen", "work"}
    )
    other.close()


async def test_expunged_elsewhere(here: Home) -> None:
    await here.server.deliver(mail(1), mail(2), mail(3))
    await here.shown(1, 2, 3)
    other = await here.remote()
    await other.select("INBOX")
    await other.store([2], "+FLAGS", ["\\Deleted"])
    await other.expunge([2])
    await here.shown(1, 3)
    assert contents.vanished(here.cache, here.local().id, 0) == [2]
    other.close()


async def test_mailboxes_made_renamed_and_deleted_elsewhere(here: Home, monkeypatch) -> None:
    monkeypatch.setattr(live_module, "POLL_SECONDS", 0.05)
    here.lose()
    here.down = False  # the next connection polls that often
    other = await here.remote()
    for name in ("Plain", 'odd "name"\\', "Größe"):
        await other.create(name)
        await other.append(name, mail(1), [], WHEN)
        await eventually(lambda name=name: here.local(name) and here.uids(name) == [1])
    await other.rename("Größe", "Größer/2")
    await eventually(lambda: here.local("Größer/2") and here.uids("Größer/2") == [1])
    await other.delete("Plain")
    await eventually(lambda: here.local("Plain") is None)
    other.close()


async def test_changes_go_through_and_are_seen_here_at_once(here: Home) -> None:
    await here.server.deliver(mail(1), mail(2), mail(3))
    await here.shown(1, 2, 3)
    inbox = here.local()
    await here.live.writing.create("Made here")
    made = here.local("Made here")
    assert made is not None
    validity, source, target = await here.live.writing.copy(inbox, [1, 2], made, move=False)
    assert (validity, source, target) == (made.uidvalidity, [1, 2], [1, 2])
    assert here.uids("Made here") == [1, 2]
    await here.live.writing.copy(inbox, [3], made, move=True)
    assert (here.uids(), here.uids("Made here")) == ([1, 2], [1, 2, 3])
    placed = await here.live.appending.append(made, mail(4), ["\\Seen"], WHEN)
    assert placed == (made.uidvalidity, 4)
    assert here.uids("Made here") == [1, 2, 3, 4]
    await here.live.writing.store(inbox, [1], "+FLAGS", ["\\Deleted"])
    assert await here.live.writing.expunge(inbox, [1]) == [1]
    assert here.uids() == [2]


async def test_a_renamed_mailbox_keeps_what_is_known_of_it(here: Home) -> None:
    await here.live.writing.create("Before")
    before = here.local("Before")
    await here.live.appending.append(before, mail(1), [], WHEN)
    await eventually(lambda: states(here, "Before") == [State.OPENED])
    await here.live.writing.rename("Before", "After")
    after = here.local("After")
    assert (after.id, here.local("Before")) == (before.id, None)
    assert states(here, "After") == [State.OPENED]
    await here.live.writing.delete("After")
    assert here.local("After") is None
    await eventually(lambda: here.live.online)


async def test_a_lost_connection_comes_back_and_nothing_is_missed(here: Home) -> None:
    await here.server.deliver(mail(1))
    await here.shown(1)
    here.lose()
    await eventually(lambda: not here.live.online)
    with pytest.raises(Offline):
        await here.live.writing.create("x")
    await here.server.deliver(mail(2))
    here.down = False
    await here.shown(1, 2)


async def test_a_mailbox_that_was_replaced_is_refused_not_mixed_up(here: Home) -> None:
    await here.live.writing.create("Box")
    old = here.local("Box")
    other = await here.remote()
    await other.delete("Box")
    await other.create("Box")
    with pytest.raises(Refused):
        await here.live.ensure(old, [1], State.OPENED) or await here.live.writing.expunge(old, [1])
    other.close()


async def test_a_listing_that_breaks_off_leaves_no_ghosts(here: Home, monkeypatch) -> None:
    """Listed half, then lost, then expunged: what is gone is not shown."""
    await here.server.deliver(mail(1))
    await here.shown(1)
    await eventually(lambda: states(here) == [State.OPENED])
    kept, listed = mailboxes.listed, asyncio.Event()

    def breaks(*arguments: object, **options: object) -> None:
        listed.set()
        raise Offline("gone in the middle")

    monkeypatch.setattr(mailboxes, "listed", breaks)
    await here.server.deliver(mail(2), mail(3))
    await asyncio.wait_for(listed.wait(), 20)
    here.lose()
    other_down = here.down
    assert other_down
    here.down = False
    other = await here.remote()
    await other.select("INBOX")
    await other.store([2], "+FLAGS", ["\\Deleted"])
    await other.expunge([2])
    monkeypatch.setattr(mailboxes, "listed", kept)
    await here.shown(1, 3)
    other.close()
