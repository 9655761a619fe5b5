"""From a received mail to records in the store: resolve, seal for each account, commit once.

All recipients or none: a plain SMTP reply speaks for the whole transaction.
"""

import logging
import secrets
from collections.abc import AsyncIterator, Sequence

from e2email_crypto.errors import SealFailed
from e2email_protocol.address import Address
from e2email_protocol.sealed.arrival import SMTP, Arrival
from e2email_protocol.sealed.record import RECORD_ID_SIZE, Record
from e2email_protocol.sealed.render import rendered_sizes
from e2email_server.clock import Clock
from e2email_server.recipients import Recipients
from e2email_server.sealing.job import Job
from e2email_server.sealing.pool import Sealing
from e2email_server.smtp.delivery import Mail, Refusal
from e2email_server.store.api import Store
from e2email_server.store.errors import DiskFull, StoreError
from e2email_server.store.types import NewMessage
from e2email_server.targets import NotTaken, Target
from e2email_server.trace import trace

log = logging.getLogger("e2email.deliver")

BOUNDARY_SIZE = 16  # random octets; hexadecimal in the record


class _Changed(Exception):
    """What the mail was sealed to is not what it would be sealed to now."""


class LocalDelivery:
    """See smtp.delivery.Delivery."""

    def __init__(
        self,
        store: Store,
        recipients: Recipients,
        sealing: Sealing,
        hostname: str,
        clock: Clock,
    ) -> None:
        self._store, self._recipients, self._sealing = store, recipients, sealing
        self._hostname, self._clock = hostname, clock

    async def judge(self, recipient: Address) -> Refusal | None:
        """Looks as far as a key that passes; asks the disk before a mail is sent in vain."""
        try:
            await self._recipients.resolve(recipient)
        except NotTaken as reason:
            return reason.refusal
        return None if self._store.has_room() else Refusal.STORAGE_FULL

    async def deliver(self, mail: Mail) -> Refusal | None:
        try:
            targets = await self._targets(mail)
            await self._store.deliver(self._sealed(mail, targets))
        except NotTaken as reason:
            # was taken at RCPT: the sender comes again and hears it there, for that one alone
            return reason.refusal if reason.refusal.temporary else Refusal.FAILED
        except DiskFull:
            return Refusal.STORAGE_FULL
        except _Changed:
            log.info("%s not stored: keys or policy changed while it was sealed", mail.id)
            return Refusal.FAILED
        except (SealFailed, StoreError) as error:
            log.error("%s not stored: %s", mail.id, error)
            return Refusal.FAILED
        return None

    async def _targets(self, mail: Mail) -> Sequence[Target]:
        """Each account once, whichever of its addresses were named."""
        found: dict[int, Target] = {}
        for recipient in mail.recipients:
            for target in await self._recipients.resolve(recipient):
                found[target.account_id] = target
        return list(found.values())

    async def _sealed(self, mail: Mail, targets: Sequence[Target]) -> AsyncIterator[NewMessage]:
        """One after another: the store writes out a large one before the next is sealed."""
        time = self._clock()
        front = trace(mail, self._hostname, time)
        arrival = Arrival(SMTP, mail.arrival.tls[0] if mail.arrival.tls else "", time)
        for target in targets:
            yield _message(
                await self._sealing.seal(_job(mail, front, arrival, target)), target, time
            )
        now = await self._targets(mail)
        if now != targets and _sealed_to(now) != _sealed_to(targets):
            raise _Changed


def _sealed_to(targets: Sequence[Target]) -> list[object]:
    """What a mail was sealed by; looked at once more, for a large one takes seconds."""
    return [(one.account_id, one.inbox, one.policy, one.keys) for one in targets]


def _job(mail: Mail, front: bytes, arrival: Arrival, target: Target) -> Job:
    random = secrets.token_bytes(RECORD_ID_SIZE + BOUNDARY_SIZE)
    return Job(
        front,
        mail.content,
        target.address,
        random[:RECORD_ID_SIZE],
        random[RECORD_ID_SIZE:].hex().encode(),
        target.policy,
        arrival,
        target.keys,
        target.known_key_ids,
    )


def _message(record: Record, target: Target, time: int) -> NewMessage:
    size, header_size = rendered_sizes(record)
    return NewMessage(target.inbox, record, size, header_size, time)
