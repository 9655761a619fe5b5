"""A drill: the account restored into a place that is thrown away, and a real mail opened there.

At the server it logs in with the recovery secret and only reads: no slot, token, device or history
entry changes. The sealed mail is fetched with the login that this machine has anyway; it is opened
with what was restored, and with nothing else.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2email_client.account_files import Kept, establish
from e2email_client.api import AccountApi, Server
from e2email_client.chain import verify_history
from e2email_client.config import Settings
from e2email_client.files import private_folder
from e2email_client.judge import judged
from e2email_client.local.mails import State, Summary
from e2email_client.owner import Fetched, Saved, fetch, open_by_recovery
from e2email_client.passphrase import Source
from e2email_client.paths import AccountPaths, Home
from e2email_client.stores import open_opening
from e2email_client.unlock import ThisDevice, Unlocked, derive, unlock
from e2email_client.upstream import connect
from e2email_crypto import kdf, slot, vault
from e2email_crypto.slot import AccountKey, SlotKind

PREFIX = ".drill-"
TRIED = 20  # newest mails of a mailbox: one of them opens, or there is something wrong


@dataclass(frozen=True, slots=True)
class Restored:
    """An account as it came back: nothing of it is written yet."""

    settings: Settings
    key: AccountKey = field(repr=False)
    box: bytes = field(repr=False)
    entries: Sequence[bytes] = field(repr=False)
    ca: bytes | None = field(repr=False)


def from_server(
    base: Settings, server: Server, secret: bytes, saved: Saved | None = None
) -> Restored:
    """By the recovery secret. `saved` is what paper or a file adds in paranoid custody.

    WrongSecret, Alarm, Refused, Offline. `base` holds what this machine has seen: nothing older is
    taken.
    """
    api = AccountApi(server)
    info = api.info()
    opened = open_by_recovery(api, base, secret, saved)
    found: Fetched = fetch(api, info, opened, base, None, saved)
    return Restored(base, found.opened.key, found.box, found.entries, server.ca)


@contextmanager
def set_up(home: Home, restored: Restored) -> Iterator[Unlocked]:
    """The account in a folder of its own, unlocked from there; the folder is gone afterwards.

    Its passphrase is random and nowhere written, so what a kill leaves behind opens for nobody.
    """
    private_folder(home.root)
    for left in home.root.glob(f"{PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=home.root))  # 0700
    try:
        phrase = secrets.token_hex(16)
        establish(Home(place), _kept(restored, phrase), None)
        yield unlock_with(Home(place).account(restored.settings.address), phrase)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _kept(restored: Restored, phrase: str) -> Kept:
    known = restored.settings
    account, server_name = known.address, known.server_name
    # nobody can guess 128 bits: the least that is allowed
    params = kdf.Params.generate(kdf.T_MIN, kdf.M_KIB_MIN)
    wrap = derive(phrase, params, account, server_name).wrap
    with judged("The restored vault"):
        opened = vault.open_vault(restored.box, restored.key, account, server_name)
    newest, digest = verify_history(restored.entries, opened, account)
    kind = SlotKind.PASSPHRASE
    wrapped = slot.wrap(restored.key, kind, wrap, account, server_name, params, generation=1)
    settings = replace(
        known,
        vault_version=opened.counter,
        statement_sequence=newest.sequence,
        statement_digest=digest.hex(),
        passphrase_generation=1,
        own_ca=restored.ca is not None,
    )
    return Kept(
        settings,
        restored.key,
        restored.box,
        wrapped,
        restored.entries,
        ThisDevice("none"),
        restored.ca,
    )


def unlock_with(paths: AccountPaths, phrase: str) -> Unlocked:
    """By a passphrase that is known to this program."""
    reading, writing = os.pipe()
    try:
        os.write(writing, phrase.encode())
        os.close(writing)
        return unlock(paths, Source(reading), None)
    finally:
        os.close(reading)


def open_one(restored: Unlocked, sealed: Sequence[tuple[str, bytes]]) -> Summary | None:
    """The first of these (email id, sealed message) that opens."""
    opening = open_opening(restored, workers=1)
    try:
        for one in sealed:
            for _, found in opening.bodies([one]):
                if isinstance(found, tuple) and found[0].state is State.OPENED:
                    return found[0]
    finally:
        opening.close()
    return None


async def newest_sealed(unlocked: Unlocked) -> list[tuple[str, bytes]]:
    """The newest messages of the first mailbox that has any, as the server holds them."""
    remote, _ = await connect(unlocked)
    try:
        for box in sorted(await remote.mailboxes(), key=lambda one: one.name != "INBOX"):
            state = await remote.select(box.name)
            first = max(1, state.uidnext - TRIED)
            ids = {one.uid: one.email_id async for part in remote.skeletons(first) for one in part}
            if ids:
                newest = sorted(ids, reverse=True)[:TRIED]
                found = dict(await remote.bodies(newest))
                return [(ids[uid], found[uid]) for uid in newest if uid in found]
    finally:
        remote.close()
    return []
