"""Mailboxes in memory; a renamed INBOX moves its messages."""

from dataclasses import replace

from e2email_server.store.errors import AlreadyExists, BadName, NotFound
from e2email_server.store.memory_messages import Mail
from e2email_server.store.names import DELETED, INBOX, SEEN, SEPARATOR, mailbox_name, renamed
from e2email_server.store.types import Counts, Mailbox


class Mailboxes(Mail):
    """See api.Store."""

    async def mailboxes(self, account_id: int) -> list[Mailbox]:
        return [box.row for box in self._of_account(account_id)]

    async def mailbox(self, mailbox_id: int) -> Mailbox:
        return self._box(mailbox_id).row

    async def mailbox_named(self, account_id: int, name: str) -> Mailbox:
        for mailbox in await self.mailboxes(account_id):
            if mailbox.name == name:
                return mailbox
        raise NotFound("no such mailbox")

    async def counts(self, mailbox_id: int) -> Counts:
        entries = [message.entry for message in self._box(mailbox_id).messages.values()]
        return Counts(
            len(entries),
            sum(SEEN not in entry.flags for entry in entries),
            sum(DELETED in entry.flags for entry in entries),
            sum(entry.size for entry in entries),
        )

    async def create(self, account_id: int, name: str, special_use: str | None = None) -> Mailbox:
        return self._make(self._person(account_id), mailbox_name(name), special_use)

    async def rename(self, mailbox_id: int, name: str) -> None:
        old, new = self._box(mailbox_id).row, mailbox_name(name)
        if old.name == INBOX:
            target = await self.create(old.account_id, new)
            await self.move(mailbox_id, list(self._box(mailbox_id).messages), target.mailbox_id)
            return
        if new == old.name or new.startswith(old.name + SEPARATOR):
            raise BadName("a mailbox cannot go below itself")
        boxes = self._of_account(old.account_id)
        moved = {box.row.mailbox_id: renamed(box.row.name, old.name, new) for box in boxes}
        staying = {box.row.name for box in boxes if moved[box.row.mailbox_id] is None}
        names = {number: mailbox_name(path) for number, path in moved.items() if path}
        if staying.intersection(names.values()):
            raise AlreadyExists("a mailbox of that name exists")
        for number, path in names.items():
            box = self._mailboxes[number]
            box.row = replace(box.row, name=path)

    async def delete(self, mailbox_id: int) -> None:
        if self._box(mailbox_id).row.name == INBOX:
            raise BadName("INBOX cannot be deleted")
        del self._mailboxes[mailbox_id]
        self._waiters.committed({}, {mailbox_id})

    async def subscribe(self, mailbox_id: int, subscribed: bool) -> None:
        box = self._box(mailbox_id)
        box.row = replace(box.row, subscribed=subscribed)
