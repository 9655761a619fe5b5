"""A COPY or MOVE whose answer was lost: the mailbox it went to tells whether it was done.

Told NO, its program would do it again, and the mail would be there twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from e2email_client.local import contents, mailboxes
from e2email_client.local.cipher import Database
from e2email_client.local.mailboxes import Mailbox
from e2email_client.upstream import Remote


class Copying:
    """Made before it is sent. Blocks where it reads the cache."""

    def __init__(
        self, cache: Database, local: Mailbox, uids: Sequence[int], target: Mailbox
    ) -> None:
        self._cache = cache
        now = mailboxes.by_id(cache, target.id) or target
        self._target, self._first = target.id, now.uidnext
        self._mails = contents.email_ids(cache, local.id, uids)

    @property
    def mails(self) -> Iterable[str]:
        """Email ids of what is copied."""
        return self._mails.values()

    def arrived(self) -> tuple[list[int], list[int]] | None:
        """(UIDs here, UIDs there), parallel, if each mail has come to the target since. To be
        asked when that is listed."""
        since = contents.known_from(self._cache, self._target, self._first)
        there: dict[str, list[int]] = {}
        for uid in sorted(since, reverse=True):
            there.setdefault(since[uid], []).append(uid)
        try:
            pairs = [(uid, there[self._mails[uid]].pop()) for uid in sorted(self._mails)]
        except (KeyError, IndexError):
            return None
        return ([uid for uid, _ in pairs], [uid for _, uid in pairs]) if pairs else None


async def left(remote: Remote, uids: Iterable[int]) -> bool:
    """Whether one of them is still in the mailbox that is selected."""
    await remote.noop()
    return bool(await remote.flags_of(sorted(uids)))
