"""One message as the proxy serves it: prepared text from its summary, octets of the opened view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from e2email_client.local.chunks import LARGE
from e2email_client.local.published import answers, chosen
from e2email_client.local.reads import Known
from e2email_client.proxy.page import Page
from e2email_protocol.imap.errors import Refused, UnknownEncoding
from e2email_protocol.imap.session import Section, Stream
from e2email_protocol.mime.body import body
from e2email_protocol.mime.part import Part
from e2email_protocol.mime.scan import scan
from e2email_protocol.mime.section import Kind, decoded, find
from e2email_protocol.mime.section import UnknownEncoding as NotDecoded
from e2email_protocol.mime.section import section as mime_section
from e2email_protocol.mime.structure import structure

INLINE = 64 * 1024  # octets that are looked at in the loop: that takes some 0.1 ms

T = TypeVar("T")


class ServedMessage:
    """`known.octets` are the whole view or only its header; what else is asked for `page` has."""

    __slots__ = ("_page", "_root", "_view", "known")

    def __init__(self, known: Known, whole: bool, page: Page) -> None:
        self.known = known
        self._page = page
        self._view = known.octets if whole else None
        self._root: Part | None = None

    def __repr__(self) -> str:
        return f"ServedMessage({self.known.uid})"

    @property
    def uid(self) -> int:
        return self.known.uid

    @property
    def email_id(self) -> str:
        return self.known.email_id

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self.known.received, UTC)

    @property
    def save_date(self) -> datetime | None:
        return _time(self.known.saved)

    @property
    def size(self) -> int:
        assert self.known.size is not None
        return self.known.size

    async def envelope(self) -> bytes:
        assert self.known.envelope is not None
        return self.known.envelope

    async def structure(self, extended: bool) -> bytes:
        assert self.known.structure is not None
        if extended:
            return self.known.structure
        made = body(self.known.structure)
        if made is None:  # deeper than any mail that was scanned
            octets, root = await self._scanned()
            return structure(octets, root, extended=False)
        return made

    async def preview(self, lazy: bool) -> str | None:
        return await self._page.preview(self.uid, lazy=lazy)

    async def section(
        self, section: Section, partial: tuple[int, int] | None
    ) -> bytes | Stream | None:
        if not (section.path or section.what) and self._is_large():
            if partial is None:
                return await self._page.pieces(self.uid, self.size)
            return await self._page.part(self.uid, *partial)
        if not section.path and section.what.startswith("HEADER"):
            octets = await self._header(section)
        elif section.path or section.what:
            view, root = await self._scanned()
            kind = Kind(section.what) if section.what else None
            found = mime_section(view, root, section.path, kind, section.fields)
            if found is None:
                return None
            octets = bytes(found)
        else:
            octets = await self._whole()
        return _cut(octets, partial)

    async def binary(self, path: tuple[int, ...], partial: tuple[int, int] | None) -> bytes | None:
        octets = await self._decoded(path)
        return None if octets is None else _cut(octets, partial)

    async def binary_size(self, path: tuple[int, ...]) -> int | None:
        octets = await self._decoded(path)
        return None if octets is None else len(octets)

    async def _decoded(self, path: tuple[int, ...]) -> bytes | None:
        if not path:
            return await self._whole()
        octets, root = await self._scanned()
        part = find(root, path)
        if part is None:
            return None
        try:
            return await _run(len(octets), lambda: decoded(octets, part))
        except NotDecoded as fault:
            raise UnknownEncoding from fault

    async def _header(self, section: Section) -> bytes:
        """Of the message itself: no part has to be found, so nothing is scanned."""
        if section.what == "HEADER":
            return await self._whole_header()
        keep = section.what == "HEADER.FIELDS"
        fields = self.known.fields
        if keep and fields is not None and answers(self.known.names, section.fields):
            return chosen(fields, section.fields)
        # what comes behind a header does no harm
        octets = self.known.octets or await self._page.header(self.uid)
        return chosen(octets, section.fields, keep=keep)

    async def _whole_header(self) -> bytes:
        if self._view is None:
            return self.known.octets or await self._page.header(self.uid)
        octets, root = await self._scanned()
        return octets[: root.body]

    def _is_large(self) -> bool:
        return self._view is None and (self.known.size or 0) > LARGE

    async def _whole(self) -> bytes:
        if self._view is None:
            self._view = await self._page.view(self.uid)
        return self._view

    async def _scanned(self) -> tuple[bytes, Part]:
        octets = await self._whole()
        if self._root is None:
            self._root = await _run(len(octets), lambda: scan(octets))
        return octets, self._root


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


async def _run(size: int, work: Callable[[], T]) -> T:
    return work() if size <= INLINE else await asyncio.to_thread(work)


def _cut(octets: bytes, partial: tuple[int, int] | None) -> bytes:
    if partial is None:
        return octets
    first, count = partial
    return octets[first : first + count]


@dataclass(frozen=True, slots=True)
class MissingMessage:
    """A message that something is asked of which is not here: all of that is refused."""

    known: Known
    trouble: Refused

    @property
    def uid(self) -> int:
        return self.known.uid

    @property
    def email_id(self) -> str:
        return self.known.email_id

    @property
    def internal_date(self) -> datetime:
        return datetime.fromtimestamp(self.known.received, UTC)

    @property
    def save_date(self) -> datetime | None:
        return _time(self.known.saved)

    @property
    def size(self) -> int:
        raise self.trouble

    async def envelope(self) -> bytes:
        raise self.trouble

    async def structure(self, extended: bool) -> bytes:
        raise self.trouble

    async def preview(self, lazy: bool) -> str | None:
        raise self.trouble

    async def section(self, section: Section, partial: tuple[int, int] | None) -> bytes | None:
        raise self.trouble

    async def binary(self, path: tuple[int, ...], partial: tuple[int, int] | None) -> bytes | None:
        raise self.trouble

    async def binary_size(self, path: tuple[int, ...]) -> int | None:
        raise self.trouble
