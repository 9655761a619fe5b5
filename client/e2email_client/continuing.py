"""An account goes on from a backup that is older than its keys: vouched for by the recovery key.

docs/specs/key-history.md, "Where the key is lost". What was sealed to the lost keys stays closed.
Before the history names the fresh key, that key is on this machine's disk, in a file as a backup
is one; a restore that was cut off goes on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from e2email_client import backup_file, backups
from e2email_client.account import Wish, first_settings
from e2email_client.api import AccountApi, Login
from e2email_client.backups import Found
from e2email_client.chain import check_follows, check_forced, follow, listed_certificates
from e2email_client.failure import Refused, WrongSecret
from e2email_client.files import private_folder
from e2email_client.history import fetch_history
from e2email_client.judge import judged
from e2email_client.mending import UNSEEN_MAX, newest_state
from e2email_client.next_entry import in_statement
from e2email_client.own_keys import require_room, told
from e2email_client.owner import Saved, check_arrival, newest_vault, open_by_recovery
from e2email_client.paths import Home
from e2email_crypto import backup, keyedit, recovery, slot, vault
from e2email_crypto.errors import StatementInvalid
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Entry, Statement
from e2email_crypto.vault import Identity, Vault
from e2email_protocol import account as messages


def unfinished(home: Home, address: str) -> Path:
    """Where a continuation lies until the account is set up on this machine."""
    folder = home.account(address).folder
    return folder.with_name(f".continued-{folder.name}")


def newest(home: Home, found: Found, secret: bytes) -> Found:
    """What a restore that was cut off left, else `found`."""
    path = unfinished(home, found.head.account)
    if not path.exists():
        return found
    try:
        left = backups.open_by_words(path, secret)
    except WrongSecret:  # of other words: it can be of no use here
        return found
    return left if left.vault.counter > found.vault.counter else found


def finished(home: Home, address: str) -> None:
    """The account is set up: what lay there for a repetition is not needed any more."""
    unfinished(home, address).unlink(missing_ok=True)


def carry_on(wish: Wish, found: Found, seen: tuple[bytes, ...], secret: bytes, now: int) -> Found:
    """Continue the key history with a fresh key. What is now in force, as a backup has it.

    `seen`: the history that a backup held; the server must have it still.

    Refused (other-words: another recovery key is in force; conflict), Alarm where the history does
    not hold, WrongSecret, Offline, LocalFault. Cut off, nothing or all of it counts.
    """
    api = AccountApi(wish.server)
    info = api.info()
    base = first_settings(wish, info)
    saved = Saved(found.key, found.content.vault, seen)
    opened = open_by_recovery(api, base, secret, saved)
    held = newest_vault(api, opened, base, None, saved, mend=True)
    check_arrival(held.vault.arrival_key, info)
    entries, given = fetch_history(api, opened.login, 1)
    last = _verified(entries, given, held.vault, base.address)
    if seen:
        check_follows(entries, len(seen), Entry.decode(seen[-1]).digest)
    keys = recovery.split(secret, base.address, base.server_name)
    if keys.public != last.recovery_key:
        raise Refused(
            "other-words",
            "The account's newest entry names other recovery words than these: only a backup that "
            "opens with those can carry it on.",
        )
    identity = _fresh(held.vault, now)
    others = _others(held.vault, last)
    following = replace(
        last,
        sequence=last.sequence + 1,
        previous=Entry.decode(entries[-1]).digest,
        certificates=tuple(in_statement(one, now) for one in (identity.certificate, *others)),
        time=now,
    )
    with judged("The account's next entry"):
        entry = recovery.sign_entry_by_recovery(following, keys)
    edited = replace(
        held.vault,
        counter=held.vault.counter + UNSEEN_MAX,
        identities=(identity, *held.vault.identities),
        recovery=secret,
        recipients=others,
        accepted=(*held.vault.accepted, entry.digest),
    )
    kept = found.content.state
    state = newest_state(api, opened.login, (found.key, opened.key), base, kept)
    payload = state.payload if state else kept
    made = _keep(wish.home, found, edited, secret, payload, now)
    _publish(api, opened.login, entry, (identity.certificate, *others))
    return made


def _verified(
    entries: Sequence[bytes], given: Sequence[bytes], opened: Vault, address: str
) -> Statement:
    """The newest statement. What the lost keys signed is verified with what the server has."""
    own = tuple(listed_certificates(opened).values())
    check_forced(entries, opened)
    with judged("The key history"):
        try:
            return follow(entries, (*given, *own), opened, address)
        except StatementInvalid:  # History._verify says which of the two counts, and why
            return follow(entries, (*own, *given), opened, address)


def _fresh(held: Vault, now: int) -> Identity:
    """For the same user ids as the one that the backup had in use."""
    require_room(held)
    with told():
        made = keyedit.successor(held.identities[0].tsk, now)
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def _others(held: Vault, last: Statement) -> tuple[bytes, ...]:
    """Other devices' own keys, if mail is sealed to them now; the lost ones are not here."""
    own = {one.fingerprint for one in held.identities}
    known = listed_certificates(held)
    return tuple(known[one] for one in sorted(last.fingerprints & known.keys() - own))


def _keep(
    home: Home, found: Found, edited: Vault, secret: bytes, state: bytes | None, now: int
) -> Found:
    """On the disk before anybody hears of it."""
    names, key = (found.head.account, found.head.server_name), AccountKey.generate()
    wrap = recovery.split(secret, *names).wrap
    spare = slot.wrap(key, SlotKind.RECOVERY, wrap, *names, generation=1)
    # without the history, as on paper: the file is good whether the entry was taken or not
    content = replace(
        found.content,
        vault=vault.seal_vault(edited, key, *names),
        statements=(),
        certificates=(),
        revocations=(),
        state=state,
        state_counter=1 if state is not None else 0,
    )
    path = unfinished(home, found.head.account)
    private_folder(home.accounts)
    pieces = backup.write(key, *names, now, [spare], content)
    backup_file.put(path, pieces, lambda _: None, force=True)
    return backups.open_by_words(path, secret)


def _publish(api: AccountApi, login: Login, entry: Entry, certificates: tuple[bytes, ...]) -> None:
    wish = messages.NewCertificates(entry.encode(), certificates)
    api.call("PUT", "/v1/certificates", messages.Nothing, wish, login)
