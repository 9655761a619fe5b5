"""Records of one's own account under other keys: which are left, and the exchange of one.

A body goes up as octets, under the same budget of memory as mail that arrives.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from e2email_crypto.errors import BadMessage
from e2email_crypto.packets import message_key_ids
from e2email_protocol.account import RECORDS_PAGE, RecordList
from e2email_protocol.jsonform import FormInvalid
from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.record import MAX_ENVELOPE_MESSAGE, Form, RecordHead
from e2email_protocol.sealed.render import rendered_sizes
from e2email_protocol.sealed.reseal import DIGEST_SIZE, MAX_GROWTH, Messages, digest
from e2email_server.api.reply import ApiError, message, no_content
from e2email_server.api.request import BODY_SECONDS, octets, owner_or_device
from e2email_server.api.resource import Resource
from e2email_server.api.turns import Turns
from e2email_server.clock import Clock
from e2email_server.logins import Logins
from e2email_server.store.api import Store
from e2email_server.store.errors import Conflict, DiskFull
from e2email_server.store.types import Account, Resealed
from e2email_server.targets import NotTaken, find_target

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_DIGEST = re.compile(rf"[0-9a-f]{{{2 * DIGEST_SIZE}}}", re.ASCII)
# Octets that are read over in the loop; a larger body goes to a thread.
INLINE: Final = 256 * 1024
# The line of 1 Mbit/s that other bodies are given their time for.
OCTETS_A_SECOND: Final = 128 * 1024
# When memory is short: a mail that arrives holds it for some seconds.
LATER_SECONDS: Final = 5

Result = TypeVar("Result")


class Budget(Protocol):
    """Memory for what is being taken (smtp.budget.Share)."""

    def reserve(self, octets: int) -> bool: ...
    def release(self, octets: int) -> None: ...


class Records:
    """Handlers; see docs/specs/account-api.md, "Resealing"."""

    def __init__(self, store: Store, logins: Logins, memory: Budget, clock: Clock) -> None:
        self._store, self._logins, self._memory, self._clock = store, logins, memory, clock
        self._turns = Turns()

    async def list(self, request: Request) -> Response:
        """Ids of a page of records whose envelope is not sealed to the newest statement's keys."""
        who = await owner_or_device(request, self._logins)
        if request.query_params.get("sealed-to") != "other":
            raise FormInvalid("sealed-to must be other")
        asked = request.query_params.get("after")
        after = b"" if asked is None else _hex(asked, _ID, "after")
        keys = await self._keys(who.account)
        async with self._turns.of(who.account.account_id):
            return message(await self._page(who.account, after, keys))

    async def _page(self, account: Account, after: bytes, keys: frozenset[str]) -> RecordList:
        page = await self._store.envelopes(account.account_id, after, RECORDS_PAGE)
        left = await asyncio.to_thread(
            lambda: [one.record_id.hex() for one in page if _key_ids(one.octets) != keys]
        )
        more = page[-1].record_id.hex() if len(page) == RECORDS_PAGE else None
        return RecordList(tuple(left), more)

    async def put(self, request: Request) -> Response:
        """Both messages of one record, in the place of those whose digest is `old`."""
        account = (await owner_or_device(request, self._logins)).account
        record_id = _hex(request.path_params["record_id"], _ID, "the record id")
        old = _hex(request.query_params.get("old", ""), _DIGEST, "old")
        held = (await self._store.held(account.account_id, record_id)).message.head
        if digest(held.envelope) != old:
            raise Conflict("another form of the record is stored")
        keys = await self._keys(account)
        with self._held(request, _cap(held)) as length:
            wish = await _taken(request, length, lambda given: _resealed(held, old, given, keys))
            await self._exchange(account, wish)
        return no_content()

    async def _keys(self, account: Account) -> frozenset[str]:
        try:
            target = await find_target(self._store, account.address, self._clock)
        except NotTaken as reason:
            text = f"There is no usable key to seal to: {reason}."
            raise ApiError(422, "certificate-refused", text) from None
        return frozenset[str]().union(*(key.key_ids for key in target.keys))

    @contextmanager
    def _held(self, request: Request, cap: int) -> Iterator[int]:
        """Memory for the body; its length. Raises ApiError."""
        declared = request.headers.get("content-length", "")
        if not (declared.isascii() and declared.isdigit()):
            raise FormInvalid("Content-Length is missing")
        length = int(declared[:20])
        if length > cap:
            raise ApiError(413, "too-large", "The request is larger than it may be.")
        if not self._memory.reserve(length):
            headers = {"Retry-After": str(LATER_SECONDS)}
            raise ApiError(503, "unavailable", "Too much is being taken in just now.", headers)
        try:
            yield length
        finally:
            self._memory.release(length)

    async def _exchange(self, account: Account, wish: Resealed) -> None:
        try:
            await self._store.reseal(account.account_id, wish)
        except DiskFull:
            raise ApiError(503, "disk-low", "The server has too little disk space.") from None


def resources(records: Records) -> dict[str, Resource]:
    return {
        "/v1/records": Resource(get=records.list),
        "/v1/records/{record_id}": Resource(put=records.put),
    }


def _cap(held: RecordHead) -> int:
    """A new form is as large as the old one, but for its PKESKs."""
    body = 0 if held.form is Form.VERBATIM else held.body_size + MAX_GROWTH
    return 4 + MAX_ENVELOPE_MESSAGE + body


def _resealed(held: RecordHead, old: bytes, given: bytes, keys: frozenset[str]) -> Resealed:
    """What the store exchanges. Raises FormInvalid, ApiError."""
    try:
        new = Messages.decode(given)
    except ValueError:
        raise FormInvalid("the body is not the two messages of a record") from None
    verbatim = held.form is Form.VERBATIM
    sealed = (new.envelope,) if verbatim else (new.envelope, new.body)
    if any(_key_ids(one) != keys for one in sealed) or (verbatim and new.body):
        text = "The record is not sealed to exactly the keys of the newest statement."
        raise ApiError(422, "record-refused", text)
    size, crc = (held.body_size, held.crc) if verbatim else (len(new.body), crc24(new.body))
    head = replace(held, envelope=new.envelope, body_size=size, crc=crc)
    body = None if verbatim else new.body
    return Resealed(held.record_id, old, new.envelope, body, crc, *rendered_sizes(head))


def _key_ids(sealed: bytes) -> frozenset[str]:
    """None at all, where it is not an encrypted message."""
    try:
        return message_key_ids(sealed)
    except BadMessage:
        return frozenset()


def _hex(text: str, form: re.Pattern[str], name: str) -> bytes:
    if form.fullmatch(text) is None:
        raise FormInvalid(f"{name} has another form")
    return bytes.fromhex(text)


async def _taken(request: Request, length: int, read: Callable[[bytes], Result]) -> Result:
    """What `read` makes of the body, which is held no longer than that."""
    seconds = BODY_SECONDS + length / OCTETS_A_SECOND
    given = await octets(request, "application/octet-stream", length, seconds)
    return read(given) if length <= INLINE else await asyncio.to_thread(read, given)
