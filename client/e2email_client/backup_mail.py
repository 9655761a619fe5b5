"""All mail of an account for a backup, one after another; what is not here is fetched."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from e2email_client.failure import ClientError
from e2email_client.local import browse, contents, mailboxes, mails
from e2email_client.local.mails import Body, State
from e2email_client.notice import sealed_original
from e2email_client.opening import record_id
from e2email_client.sync import Progress, Report
from e2email_crypto.backup import Mail

if TYPE_CHECKING:
    from e2email_client.fetching import Fetcher
    from e2email_client.local.browse import Row
    from e2email_client.local.cipher import Database
    from e2email_client.local.mailboxes import Mailbox
    from e2email_client.unlock import Unlocked

AT_ONCE = 200  # messages that are fetched before they are written
SEALED = "$e2email-sealed"  # of a mail that could not be opened: as the server holds it


class MailSource:
    """Iterated once. Then `count` and `missing` say what was given and what could not be had.

    Not inside an event loop: it runs one of its own for what has to be fetched.
    """

    def __init__(self, unlocked: Unlocked, cache: Database, report: Report) -> None:
        self._unlocked = unlocked
        self._cache = cache
        self._report = report
        self.count = 0
        self.missing = 0
        self.fault: ClientError | None = None

    def __iter__(self) -> Iterator[Mail]:
        from e2email_client.fetching import Fetcher

        with asyncio.Runner() as runner:
            fetcher = Fetcher(self._unlocked, self._cache)
            try:
                for box in mailboxes.every(self._cache):
                    yield from self._mailbox(runner, fetcher, box)
            finally:
                runner.run(fetcher.__aexit__(None, None, None))
                self.fault = fetcher.fault

    def _mailbox(self, runner: asyncio.Runner, fetcher: Fetcher, box: Mailbox) -> Iterator[Mail]:
        uids = sorted(contents.server_flags(self._cache, box.id))
        for at in range(0, len(uids), AT_ONCE):
            part: Sequence[int] = uids[at : at + AT_ONCE]
            runner.run(fetcher.ensure(box, part))
            yield from self._part(box, part)
            self._report(Progress(box.name, "backup", at + len(part), len(uids)))

    def _part(self, box: Mailbox, uids: Sequence[int]) -> Iterator[Mail]:
        for uid in uids:
            row = browse.one(self._cache, box.id, uid)
            body = mails.body(self._cache, row.email_id) if row and row.summary else None
            if row is None or body is None:
                self.missing += 1
                continue
            self.count += 1
            yield _mail(row, body)


def _mail(row: Row, body: Body) -> Mail:
    octets, flags = bytes(body.delivered), row.flags
    if row.summary and row.summary.state is State.UNREADABLE and body.delivered == body.view:
        octets, flags = sealed_original(body.view), (*flags, SEALED)
    return Mail(row.mailbox, flags, row.received, record_id(row.email_id), octets)
