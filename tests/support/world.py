"""A server on a port of its own with a store of its own, and people who live there."""

from contextlib import asynccontextmanager
from dataclasses import fields, replace

from e2email_protocol.sealed.record import Record, RecordHead
from e2email_protocol.sealed.render import render
from e2email_server.deliver import LocalDelivery
from e2email_server.recipients import Recipients
from e2email_server.sealing.pool import Sealing
from support.residents import ARRIVAL_KEY, CREATED, house, resident
from support.smtp_dialog import serving
from support.store_data import TestClock, sql_store

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.test"


class World:
    """A server with a store of its own, alice and bob; carol has no key."""

    def __init__(self, people, store, recipients, sealing, delivery, server):
        self.people = people
        self.store, self.recipients, self.sealing = store, recipients, sealing
        self.delivery, self.server = delivery, server

    async def records(self, address: str) -> list[Record]:
        """What lies in somebody's INBOX."""
        inbox = (await self.store.account(address)).inbox
        found = await self.store.messages(inbox, range(1, 2000), bodies=True)
        return [await self._record(inbox, message) for message in found]

    async def _record(self, inbox, message) -> Record:
        body = message.body
        if body is None:
            body = await self.store.body(inbox, message.entry.uid, 0, message.head.body_size)
        head = {f.name: getattr(message.head, f.name) for f in fields(RecordHead)}
        record = Record(**head, body=body)
        assert message.entry.size == render(record).size
        assert message.entry.header_size == len(render(record).header)
        return record

    async def read(self, address: str) -> list[bytes]:
        """The mail as its owner reads it, without our two fields."""
        opened = self.people[address].open_all(await self.records(address))
        assert all(one.envelope.proven and not one.alarms for one in opened)
        return [one.received for one in opened]


@asynccontextmanager
async def living(folder, policy="sealed"):
    clock = TestClock(CREATED + 100)
    store = await sql_store(folder, clock)
    people = {address: resident(address, policy) for address in (ALICE, BOB)}
    for person in people.values():
        await store.register(person.account, None)
    without = replace(resident(CAROL).account, statement=None, certificates=())
    await store.register(without, None)
    aliases = {"team@example.test": (ALICE, BOB)}
    recipients = Recipients(store, house(aliases=aliases), clock)
    sealing = Sealing(ARRIVAL_KEY)
    delivery = LocalDelivery(store, recipients, sealing, "mx.example.test", clock)
    async with serving(delivery) as server:
        yield World(people, store, recipients, sealing, delivery, server)
    sealing.close()
    await store.close()
