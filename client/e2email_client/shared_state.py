"""What an account's devices share beside mail and keys: kept in state.db, travelling sealed.

docs/specs/state.md. A change is durable here at once and reaches the server with the next `sync`.
What the server gives is merged, never taken in place of what is here; an older box than this device
has seen is an alarm, and what is known here is put back.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from e2email_client import contact_form, state_document
from e2email_client.aside import aside
from e2email_client.failure import Alarm, ClientError, LocalFault, Offline, Refused, WrongSecret
from e2email_client.judge import judged
from e2email_client.local import notices
from e2email_client.local.cipher import Database
from e2email_client.state_document import CONTACTS, DocumentInvalid, Entry, Rules, newest
from e2email_crypto import vault
from e2email_protocol import account as messages

if TYPE_CHECKING:
    from e2email_client.api import AccountApi, Login
    from e2email_client.unlock import Unlocked

log = logging.getLogger(__name__)

RULES: Final[Rules] = {CONTACTS: contact_form.join}
PATH: Final = "/v1/state"
CONFLICT, NOT_FOUND = "conflict", "not-found"
PAYLOAD_MAX: Final = vault.STATE_MAX - 64 * 1024  # the box around it, generously
TRIES: Final = 8  # other devices may be faster; each pass of theirs is a second or so
TOO_MUCH: Final = "There is no room for more contacts and settings (8 MiB)."
POLL_SECONDS: Final = 60.0  # how soon a program that runs on sends what another one changed here
REFRESH_SECONDS: Final = 3600.0  # and how soon it learns what other devices changed


@dataclass(frozen=True, slots=True)
class _Seen:
    """Of the newest box that was pulled or pushed; `version` is the server's count."""

    counter: int
    digest: bytes
    version: int
    generation: int  # of the local document
    pushed: int  # the generation that the server has

    @property
    def dirty(self) -> bool:
        return self.generation != self.pushed


class SharedState:
    """Blocks; any number of programs and threads may use one state.db at a time."""

    def __init__(self, unlocked: Unlocked, state: Database) -> None:
        self._unlocked = unlocked
        self._state = state

    def __repr__(self) -> str:
        return f"SharedState({self._unlocked.settings.address})"

    # here

    def get(self, section: str) -> dict[str, Any]:
        """All that is not removed, by key."""
        rows = self._state.read(
            "SELECT key, changed, value FROM shared WHERE section = ?", (section,)
        )
        entries = {key: _read(changed, value) for key, changed, value in rows}
        return {key: one.value for key, one in entries.items() if one.value is not None}

    def one(self, section: str, key: str) -> Any | None:
        return _value(_entry(self._state.read, section, key))

    def put(self, section: str, key: str, value: Any | None, now: int) -> None:
        """Durable when this returns; None removes. `now`: seconds since 1970. LocalFault."""
        self.update(section, key, lambda _: value, now)

    def update(
        self,
        section: str,
        key: str,
        change: Callable[[Any | None], Any | None],
        now: int,
        *,
        matters: Callable[[], bool] = lambda: True,
    ) -> Any | None:
        """`change` gets the value and gives the new one, in one transaction. The value after it.

        Where it does not matter (asked afterwards) other devices hear of it with the next one
        that does.
        """
        assert section in state_document.SECTIONS
        if not 0 < len(key) <= state_document.KEY_MAX:
            raise LocalFault("This name is too long to be kept.")
        with self._state.write() as writer:
            before = _entry(lambda sql, args: writer.execute(sql, args).fetchall(), section, key)
            value = change(_value(before))
            made = Entry(now, value)
            if before is not None:
                if made.same(before):
                    return before.value
                # later than what it replaces, whatever the clock says
                made = Entry(max(now, before.changed + 1), value)
                made = RULES.get(section, newest)(before, made)
            _write(writer, section, key, made)
            _bounded(writer)
            if matters():
                writer.execute("UPDATE shared_seen SET generation = generation + 1")
            return made.value

    @property
    def dirty(self) -> bool:
        """Whether something is here that the server does not have."""
        return self._seen().dirty

    @property
    def counter(self) -> int:
        """Of the newest box that was seen; 0: none."""
        return self._seen().counter

    def export(self) -> bytes:
        """The whole document, as it is boxed."""
        return state_document.encode(_document(self._state.read))

    def adopt(self, payload: bytes) -> None:
        """Merge a document from elsewhere (a backup). Alarm where it is none."""
        self._take(_decoded(payload))

    # and at the server

    def sync(self, api: AccountApi, login: Login) -> None:
        """Pull, merge, push. Offline, Refused, BadServer; then what is here is sent another time.

        Alarm: what the server has is older than what this device has seen, or damaged. Where it is
        older, what is known here is there again.
        """
        older = False
        for _ in range(TRIES):
            before = self._seen()  # else what another program here pushes meanwhile looks newer
            version, box = self._pull(api, login, before)
            if version is not None:
                older |= self._merge(box, version, before)
            seen = self._seen()
            if not seen.dirty and not older:
                return
            if self._push(api, login, seen, version):
                break
        else:
            raise Offline("Other devices change the account's state all the time; try again.")
        if older:
            raise Alarm(
                "The server gave an older state of the account (contacts, settings) than this "
                "device has seen. What is known here was put back."
            )

    async def follow(self, api: AccountApi, login: Login) -> None:
        """Sync now and then, until cancelled."""
        due = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            if clock() >= due or await asyncio.to_thread(lambda: self.dirty):
                due = clock() + REFRESH_SECONDS
                await self._once(api, login)
            await asyncio.sleep(POLL_SECONDS)

    async def _once(self, api: AccountApi, login: Login) -> None:
        try:
            # where the server hangs, stopping the program does not wait for it
            await aside(lambda: self.sync(api, login))
        except Alarm as alarm:
            log.warning("the shared state: %s", alarm)
            notices.put(self._state, notices.Kind.STATE, "", str(alarm))
        except Offline as fault:
            log.info("the shared state was not sent: %s", fault)
        except ClientError as fault:
            log.warning("the shared state was not sent: %s", fault)

    def _pull(self, api: AccountApi, login: Login, seen: _Seen) -> tuple[int | None, bytes]:
        """(version, box) where there is something to look at, (None, b"") where all is known."""
        known = api.call("GET", "/v1/account", messages.AccountInfo, login=login).state_version
        if known == seen.version:
            return None, b""
        try:
            found = api.call("GET", PATH, messages.StateBox, login=login)
        except Refused as fault:
            if fault.code != NOT_FOUND:
                raise
            return 0, b""
        return found.version, found.state

    def _merge(self, box: bytes, version: int, seen: _Seen) -> bool:
        """Whether it is older than what was seen, or another one under the same number."""
        settings = self._unlocked.settings
        if not version:
            self._remember(seen.counter, seen.digest, 0)
            return seen.counter > 0
        account, server = settings.address, settings.server_name
        try:
            with judged("The account's state at the server"):
                payload, counter = vault.open_state(box, self._unlocked.key, account, server)
        except WrongSecret:
            raise Alarm(
                "The account's state at the server was made with another account key. If that was "
                "replaced on another device, run e2email setup here again."
            ) from None
        digest = sha256(box).digest()
        self._take(_decoded(payload), payload)
        if counter < seen.counter or (counter == seen.counter and digest != seen.digest):
            self._remember(seen.counter, seen.digest, version)
            return True
        self._remember(counter, digest, version)
        return False

    def _push(self, api: AccountApi, login: Login, seen: _Seen, known: int | None) -> bool:
        """False: another device was faster."""
        settings, payload = self._unlocked.settings, self.export()
        version, counter = (seen.version if known is None else known) + 1, seen.counter + 1
        account, server = settings.address, settings.server_name
        try:
            box = vault.seal_state(payload, counter, self._unlocked.key, account, server)
        except ValueError as fault:
            raise LocalFault(TOO_MUCH) from fault
        try:
            api.call("PUT", PATH, messages.Nothing, messages.StateBox(version, box), login)
        except Refused as fault:
            if fault.code != CONFLICT:
                raise
            return False
        self._remember(counter, sha256(box).digest(), version, seen.generation)
        return True

    def _take(self, found: state_document.Document, payload: bytes = b"") -> None:
        """Merge into what is here. What `payload`, which the server has, lacks has to be sent."""
        with self._state.write() as writer:
            known = _document(lambda sql, *args: writer.execute(sql, *args).fetchall())
            merged = state_document.merge(known, found, RULES)
            for at, entry in merged.items():
                if at not in known or known[at].rank != entry.rank:
                    _write(writer, *at, entry)
            if state_document.encode(merged) != payload:
                writer.execute("UPDATE shared_seen SET generation = generation + 1")

    def _seen(self) -> _Seen:
        sql = "SELECT counter, digest, version, generation, pushed FROM shared_seen"
        return _Seen(*self._state.read(sql)[0])

    def _remember(
        self, counter: int, digest: bytes, version: int, pushed: int | None = None
    ) -> None:
        """The counter never falls; another program may have seen more."""
        with self._state.write() as writer:
            writer.execute(
                "UPDATE shared_seen SET counter = ?, digest = ?, version = ? WHERE counter <= ?",
                (counter, digest, version, counter),
            )
            if pushed is not None:
                writer.execute("UPDATE shared_seen SET pushed = max(pushed, ?)", (pushed,))


def _decoded(payload: bytes) -> dict[tuple[str, str], Entry]:
    """A document whose contacts can be read."""
    try:
        document = state_document.decode(payload)
        for (section, key), entry in document.items():
            if section == CONTACTS and entry.value is not None:
                contact_form.decode(key, entry.value)
    except DocumentInvalid as fault:
        raise Alarm(f"The account's state is {fault}; perhaps a newer e2email wrote it.") from fault
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Alarm("A contact in the account's state cannot be read.") from None
    return document


def _read(changed: int, value: str) -> Entry:
    return Entry(changed, json.loads(value))


def _value(entry: Entry | None) -> Any | None:
    return entry.value if entry else None


def _entry(read: Callable[..., Any], section: str, key: str) -> Entry | None:
    sql = "SELECT changed, value FROM shared WHERE section = ? AND key = ?"
    rows = read(sql, (section, key))
    return _read(*rows[0]) if rows else None


def _document(read: Callable[..., Any]) -> dict[tuple[str, str], Entry]:
    rows = read("SELECT section, key, changed, value FROM shared")
    return {(section, key): _read(changed, value) for section, key, changed, value in rows}


def _write(writer: Any, section: str, key: str, entry: Entry) -> None:
    writer.execute(
        "INSERT OR REPLACE INTO shared (section, key, changed, value) VALUES (?, ?, ?, ?)",
        (section, key, entry.changed, state_document.encode_value(entry.value).decode()),
    )


def _bounded(writer: Any) -> None:
    """Inside the transaction: what would not go into one box is not kept."""
    sql = "SELECT count(*), sum(length(value) + length(key) + 64) FROM shared"
    count, octets = writer.execute(sql).fetchone()
    if count > state_document.ENTRIES_MAX or (octets or 0) > PAYLOAD_MAX:
        raise LocalFault(TOO_MUCH)
