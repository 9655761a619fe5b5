"""One sealed message inside a FETCH: its rendering, read no further than what is asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from e2email_protocol.imap.errors import UnknownEncoding
from e2email_protocol.imap.session import Section, Stream
from e2email_protocol.mime.envelope import envelope
from e2email_protocol.mime.part import Part
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import UnknownEncoding as NotDecoded
from e2email_protocol.mime.section import chosen, decoded, find
from e2email_protocol.mime.structure import structure
from e2email_protocol.sealed.record import Form, RecordHead
from e2email_protocol.sealed.render import ENVELOPE_FIELD, Rendered, envelope_field
from e2email_server.imap.body import Body, Missing
from e2email_server.imap.layout import sealed_span, sealed_structure, span
from e2email_server.imap.shared import Known

CHUNK = 192 * 1024  # octets of a rendering at a time; below the driver's high-water mark
LAYOUTS = 1000  # part trees kept for a mailbox, some 2 KiB each
HEADER = 16 * 1024  # octets of a verbatim message in which its header is looked for first
INLINE = 64 * 1024  # octets that are scanned in the loop; the scanner takes some 0.1 ms for them
_PLAIN = (b"7bit", b"8bit", b"binary")  # encodings that change nothing (RFC 2045 §6.2)
_LISTED = ENVELOPE_FIELD.lower()  # the field that our client lists a mailbox by

Result = TypeVar("Result")

Layouts = MutableMapping[tuple[int, int], Part]
"""Part trees of verbatim messages by uid and size: only scanning the whole gives them.

Resealing changes nothing of such a message but the length of our field in front.
"""


class MetaMessage:
    """A message whose record was not read, because nothing of it was asked for."""

    __slots__ = ("_known",)

    def __init__(self, known: Known) -> None:
        self._known = known

    @property
    def uid(self) -> int:
        return self._known.entry.uid

    @property
    def size(self) -> int:
        return self._known.size

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self._known.date, UTC)

    @property
    def save_date(self) -> datetime:
        return datetime.fromtimestamp(self._known.saved, UTC)

    @property
    def email_id(self) -> str:
        """`E` and the record id (docs/specs/sealed-message.md)."""
        return "E" + self._known.record_id.hex()

    async def envelope(self) -> bytes:
        raise NotImplementedError

    async def structure(self, extended: bool) -> bytes:
        raise NotImplementedError

    async def section(
        self, section: Section, partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        raise NotImplementedError


class SealedMessage(MetaMessage):
    """See session.Message; all of it agrees with what a scanner finds in the rendering."""

    __slots__ = ("_body", "_head", "_layouts", "_rendering")

    def __init__(self, known: Known, head: RecordHead, body: Body, layouts: Layouts) -> None:
        super().__init__(known)
        self._head, self._body, self._layouts = head, body, layouts
        self._rendering: Rendered | None = None

    def __repr__(self) -> str:
        return f"<SealedMessage {self.uid} {self._head!r}>"

    @property
    def _rendered(self) -> Rendered:
        if self._rendering is None:
            self._rendering = Rendered(self._head, self._body.read)
        return self._rendering

    async def envelope(self) -> bytes:
        if self._head.form is Form.SEALED:
            return envelope(self._head.outer)
        return envelope(await self._header())

    async def structure(self, extended: bool) -> bytes:
        if self._head.form is Form.SEALED:
            return sealed_structure(self._head, extended)
        octets = await self._read(0, self._rendered.size)
        return await _scanned(octets, lambda: structure(octets, scan(octets), extended=extended))

    async def section(
        self, section: Section, partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        if not section.path and section.fields:
            return _cut(await self._fields(section), partial)
        found = await self._span(section)
        if found is None:
            return None
        start, end = found
        if section.fields:
            header = await self._read(start, end - start)
            return _cut(_chosen(header, section), partial)
        if partial is not None:
            start = min(start + partial[0], end)
            end = min(start + partial[1], end)
        return await self._octets(start, end - start)

    # --- without transfer encoding (extensions.BinaryMessage) ---------------------------------

    async def binary(
        self, path: tuple[int, ...], partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        part = await self._encoded(path)
        if part is None:
            return await self.section(Section(path), partial)
        return _cut(await self._decode(part), partial)

    async def binary_size(self, path: tuple[int, ...]) -> int | None:
        part = await self._encoded(path)
        if part is not None:
            return len(await self._decode(part))
        found = await self._span(Section(path))
        return None if found is None else found[1] - found[0]

    async def _encoded(self, path: tuple[int, ...]) -> Part | None:
        """The part of that number if it has an encoding to undo; what we render has none."""
        if not path or self._head.form is Form.SEALED:
            return None
        part = find(await self._layout(), path)
        plain = part is None or part.children or (part.encoding or b"7bit").lower() in _PLAIN
        return None if plain else part

    async def _decode(self, part: Part) -> bytes:
        octets = await self._read(part.body, part.size)
        alone = replace(part, start=0, body=0, end=len(octets))
        try:
            return await _scanned(octets, lambda: decoded(octets, alone))
        except NotDecoded as error:
            raise UnknownEncoding("not a transfer encoding that we know") from error

    # --- headers ------------------------------------------------------------------------------

    async def _fields(self, section: Section) -> bytes:
        """HEADER.FIELDS of the message; our own field without touching the body.

        And without fields of that name that the sender wrote: a verbatim header may have some.
        """
        only_ours = [name.lower() for name in section.fields] == [_LISTED]
        if only_ours and section.what == "HEADER.FIELDS":
            return envelope_field(self._head) + b"\r\n"
        return _chosen(await self._header(), section)

    async def _header(self) -> bytes:
        if self._head.form is Form.SEALED:
            return self._rendered.header
        octets = await self._read(0, min(HEADER, self._rendered.size))
        end = scan(octets).body  # the first empty line; no boundary cuts the outermost header
        if end < len(octets):
            return octets[:end]
        return await self._read(0, (await self._layout()).body)

    # --- octets -------------------------------------------------------------------------------

    async def _span(self, section: Section) -> tuple[int, int] | None:
        if not section.path and not section.what:
            return 0, self._rendered.size
        if self._head.form is Form.SEALED:
            return sealed_span(self._head, len(self._rendered.header), section)
        return span(await self._layout(), section)

    async def _layout(self) -> Part:
        place = self.uid, self.size
        known = self._layouts.get(place)
        if known is None:
            if len(self._layouts) >= LAYOUTS:
                self._layouts.clear()
            octets = await self._read(0, self._rendered.size)
            known = self._layouts[place] = await _scanned(octets, lambda: scan(octets))
        return known

    async def _octets(self, start: int, count: int) -> bytes | Stream:
        if count <= CHUNK:
            return await self._read(start, count)
        return Stream(count, self._chunks(start, start + count))

    async def _chunks(self, start: int, end: int) -> AsyncIterator[bytes]:
        for at in range(start, end, CHUNK):
            yield await self._read(at, min(CHUNK, end - at))

    async def _read(self, start: int, count: int) -> bytes:
        rendered = self._rendered
        try:
            return rendered.read(start, count)
        except Missing as missing:
            await self._body.load(missing)
        return rendered.read(start, count)


async def _scanned(octets: bytes, work: Callable[[], Result]) -> Result:
    """In a thread, where the message is large enough to be felt by everybody else."""
    return work() if len(octets) <= INLINE else await asyncio.to_thread(work)


def _chosen(header: bytes, section: Section) -> bytes:
    """The fields that a HEADER.FIELDS or HEADER.FIELDS.NOT asks for, and an empty line."""
    names = frozenset(name.lower() for name in section.fields)
    return chosen(header, names, keep=section.what == "HEADER.FIELDS")


def _cut(octets: bytes, partial: tuple[int, int] | None) -> bytes:
    return octets if partial is None else octets[partial[0] : partial[0] + partial[1]]
