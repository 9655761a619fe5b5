"""APPEND: our own rendering is taken back as its record, everything else is sealed first.

Never stored in clear: without a usable key there is no APPEND.
"""

import asyncio
import secrets
from dataclasses import dataclass
from datetime import datetime

from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import SealFailed
from e2email_protocol.imap.errors import Cannot, TooBig, Unavailable
from e2email_protocol.sealed.append import own_record
from e2email_protocol.sealed.arrival import appended
from e2email_protocol.sealed.record import RECORD_ID_SIZE, Record
from e2email_protocol.sealed.render import render
from e2email_server.clock import Clock
from e2email_server.imap.faults import translated
from e2email_server.sealing.job import AccountSealer, Job
from e2email_server.sealing.pool import INLINE, Sealing
from e2email_server.store.api import Store
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Flags, Mailbox, NewMessage
from e2email_server.targets import NotTaken, Target, find_target

BOUNDARY_SIZE = 16  # random octets; hexadecimal in the record
# An IMAP login is always inside TLS; which version the session does not learn.
TLS = "TLS"


class NoKeyNow(Unavailable):
    text = b"there is no usable key to seal it to, so it is not stored"


class NoKeyEver(Cannot):
    text = b"the key is revoked, so it cannot be sealed and is not stored"


@dataclass(frozen=True, slots=True)
class Appending:
    """Makes records of what owners append. `limit`: octets of a message not sealed yet."""

    store: Store
    sealing: Sealing
    arrival_key: ArrivalKey
    clock: Clock
    limit: int

    @property
    def literal_limit(self) -> int:
        """A rendering of the largest mail is larger than that mail, and comes back whole."""
        return self.limit * 7 // 5 + 64 * 1024

    async def prepare(
        self,
        address: str,
        mailbox: Mailbox,
        octets: bytes,
        flags: Flags,
        when: datetime | None,
        program: str,
    ) -> NewMessage:
        """For the store. Raises Refused in its many forms."""
        with translated():
            target = await self._target(address)
            record = await self._own(octets, target)
            if record is None:
                record = await self._seal(octets, target, program)
        rendered = render(record)
        time = self.clock() if when is None else max(int(when.timestamp()), 0)
        return NewMessage(
            mailbox.mailbox_id, record, rendered.size, len(rendered.header), time, flags
        )

    async def _target(self, address: str) -> Target:
        try:
            return await find_target(self.store, address, self.clock)
        except NotTaken as reason:
            kind = NoKeyNow if reason.refusal.temporary else NoKeyEver
            raise kind(str(reason)) from reason
        except NotFound as error:
            raise Unavailable("the account is gone") from error

    async def _own(self, octets: bytes, target: Target) -> Record | None:
        keys = AccountSealer(target.keys, target.known_key_ids, self.arrival_key)
        if len(octets) <= INLINE:
            return own_record(octets, keys)
        return await asyncio.to_thread(own_record, octets, keys)

    async def _seal(self, octets: bytes, target: Target, program: str) -> Record:
        if len(octets) > self.limit:
            raise TooBig
        job = Job(
            b"",
            octets,
            target.address,
            secrets.token_bytes(RECORD_ID_SIZE),
            secrets.token_hex(BOUNDARY_SIZE).encode(),
            target.policy,
            appended(program, TLS, self.clock()),
            target.keys,
            target.known_key_ids,
        )
        try:
            return await self.sealing.seal(job)
        except SealFailed as error:
            raise Unavailable("not sealed") from error
