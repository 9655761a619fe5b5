"""SEARCH over a view: each key narrows the candidates, the cheap keys of an AND first."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from contextlib import aclosing
from datetime import date, datetime
from operator import attrgetter, itemgetter
from typing import cast

from .context import Selected, uids
from .extensions import SavedMessage
from .fair import Turns
from .limits import TURN
from .search_keys import (
    All,
    And,
    Arrived,
    EmailId,
    HasFlag,
    InText,
    Key,
    Larger,
    Meta,
    Modseq,
    Not,
    Numbers,
    Or,
    Recent,
    Saved,
    SaveDates,
    Smaller,
    ThreadId,
    Uids,
    Within,
    leaves,
)
from .sequence import SAVED, Ranges, normal
from .session import Message, Need, When
from .view import Numbered

_NEEDS: dict[type[Key], Need] = {
    Larger: Need.SIZE,
    Smaller: Need.SIZE,
    Arrived: Need.DATE,
    Saved: Need.SAVED | Need.DATE,
    Within: Need.DATE,
    EmailId: Need.ID,
}


class Search:
    """run() recurses as deep as the parser let the key be."""

    def __init__(self, selected: Selected, now: float):
        """`now`: seconds since 1970, for OLDER and YOUNGER."""
        self._now = now
        self._view = selected.view
        self._mailbox = selected.mailbox
        self._turns = Turns(TURN)

    async def run(self, key: Key) -> list[Numbered]:
        """The messages that match, ascending. Cannot where the backend can't read text."""
        everything = [Numbered(n, entry) for n, entry in enumerate(self._view.entries, 1)]
        return await self._narrow(key, everything)

    async def _narrow(self, key: Key, among: list[Numbered]) -> list[Numbered]:
        await self._turns.spend(len(among))
        match key:
            case And():
                for part in sorted(key.keys, key=_cost):
                    among = await self._narrow(part, among)
                return among
            case Or():
                one = set(await self._narrow(key.one, among))
                other = await self._narrow(key.other, [m for m in among if m not in one])
                one.update(other)
                return [message for message in among if message in one]
            case Not():
                without = set(await self._narrow(key.key, among))
                return [message for message in among if message not in without]
            case InText():
                found = set(await self._mailbox.search(key.search, uids(among)))
                return [message for message in among if message.entry.uid in found]
            case Larger() | Smaller() | Arrived() | Saved() | Within() | EmailId():
                return await self._by_meta(key, among)
            case _:
                return list(filter(self._simple(key), among))

    def _simple(self, key: Key) -> Callable[[Numbered], bool]:
        """A test that the view answers alone."""
        view = self._view
        match key:
            case All() | SaveDates() | ThreadId():
                return lambda message: not isinstance(key, ThreadId)
            case HasFlag():
                (flag,) = view.spell({key.flag})
                return lambda message: flag in message.entry.flags
            case Recent():
                return lambda message: view.is_recent(message.entry.uid)
            case Uids() | Numbers():
                return self._in_set(key)
            case Modseq():
                return lambda message: message.entry.modseq >= key.least
            case _:
                raise AssertionError(key)

    def _in_set(self, key: Uids | Numbers) -> Callable[[Numbered], bool]:
        view = self._view
        if key.ranges == SAVED:
            saved = set(view.saved)
            return lambda message: message.entry.uid in saved
        if isinstance(key, Numbers):
            among = _within(key.ranges, len(view))
            return lambda message: among(message.number)
        within = _within(key.ranges, view.entries[-1].uid if view.entries else 0)
        return lambda message: within(message.entry.uid)

    async def _by_meta(self, key: Meta, among: list[Numbered]) -> list[Numbered]:
        test = _meta_test(key, self._now)
        need = _NEEDS[type(key)]
        found: set[int] = set()
        if among:
            async with aclosing(self._mailbox.fetch(uids(among), need)) as messages:
                found = {message.uid async for message in messages if test(message)}
        return [message for message in among if message.entry.uid in found]


def _meta_test(key: Meta, now: float) -> Callable[[Message], bool]:
    match key:
        case Larger():
            return lambda message: message.size > key.size
        case Smaller():
            return lambda message: message.size < key.size
        case Arrived() | Saved():
            time = _save_date if isinstance(key, Saved) else attrgetter("internal_date")
            return lambda message: is_when(time(message).date(), key.when, key.day)
        case Within(seconds, older):
            then = now - seconds
            if older:
                return lambda message: message.internal_date.timestamp() <= then
            return lambda message: message.internal_date.timestamp() >= then
        case EmailId():
            return lambda message: message.email_id == key.email_id


def _save_date(message: Message) -> datetime:
    """RFC 8514 §4.3: where there is none, the keys look at INTERNALDATE."""
    # admit() saw the capability; isinstance() of a Protocol takes longer than all the rest
    return cast(SavedMessage, message).save_date or message.internal_date


def is_when(actual: date, when: When, day: date) -> bool:
    """Is the day of a message before, on or not before `day`? For backends' SentKey, too."""
    if when is When.ON:
        return actual == day
    return (actual < day) == (when is When.BEFORE)


def _within(ranges: Ranges, largest: int) -> Callable[[int], bool]:
    """Membership in a set whose "*" is `largest`; numbers beyond it match nothing."""
    spans = normal(ranges, largest)

    def within(number: int) -> bool:
        place = bisect_right(spans, number, key=itemgetter(0))
        return place > 0 and number <= spans[place - 1][1]

    return within


def _cost(key: Key) -> int:
    """0: the view knows; 1: sizes and dates are read; 2: text is read."""
    return max(_LEAF_COST.get(type(leaf), 0) for leaf in leaves(key))


_LEAF_COST: dict[type[Key], int] = {**dict.fromkeys(_NEEDS, 1), InText: 2}
