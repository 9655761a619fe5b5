"""The account's key history judged by the account's own vault. No files, no network.

docs/specs/key-history.md. What is wrong is an Alarm.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from e2email_client.failure import Alarm, Behind
from e2email_client.judge import judged
from e2email_crypto import cert, statement
from e2email_crypto.errors import StatementInvalid
from e2email_crypto.packets import key_facts
from e2email_crypto.statement import Authority, Entry, Statement
from e2email_crypto.vault import Vault


def listed_certificates(opened: Vault) -> Mapping[str, bytes]:
    """By fingerprint: what mail may be sealed to. Our own, and those of other devices' own keys."""
    known = {one.fingerprint: one.certificate for one in opened.identities}
    for certificate in opened.recipients:
        known[fingerprint_of(certificate)] = certificate
    return known


def fingerprint_of(certificate: bytes) -> str:
    """Computed from its primary key, whatever it is called."""
    with judged("A certificate in the vault"):
        return key_facts(cert.read_packets(certificate)[0].body).fingerprint


def verify_history(
    entries: Sequence[bytes], opened: Vault, address: str
) -> tuple[Statement, bytes]:
    """(newest statement, its digest): the chain holds, and seals to keys of this vault only.

    Raises Alarm; Behind, an Alarm too, where a key that is in this vault vouched for one that is
    not: another machine changed the account's keys, and its vault is the newer one.
    """
    known = listed_certificates(opened)
    check_forced(entries, opened)
    try:
        with judged("The key history"):
            newest = follow(entries, known.values(), opened, address)
    except Alarm:
        _check_behind(entries, known, opened, address)
        raise
    if foreign := sorted(newest.fingerprints - known.keys()):
        raise Behind(foreign[0])
    return newest, Entry.decode(entries[-1]).digest


def follow(
    entries: Sequence[bytes], certificates: Collection[bytes], opened: Vault, address: str
) -> Statement:
    """The newest statement, where each follows from the one before by one of `certificates`.

    From the last override or accepted entry on, where there is one: keys before it were given up
    or lost, and their certificates are not here. That nothing was taken away before it still shows.
    Raises StatementInvalid.
    """
    turns = [
        at
        for at, one in enumerate(entries)
        if _is_forced(one) or Entry.decode(one).digest in opened.accepted
    ]
    if not turns:
        return statement.verify_chain(entries, certificates, address)
    at = turns[-1]
    if Entry.decode(entries[at]).digest not in opened.accepted:
        raise StatementInvalid("an override that the owner has not accepted")
    newest = _linked(entries[: at + 1], address)
    for before, octets in pairwise(entries[at:]):
        newest = statement.verify_next(before, octets, certificates, address)
    return newest


def _is_forced(entry: bytes) -> bool:
    return Entry.decode(entry).authority is Authority.FORCED


def _linked(entries: Sequence[bytes], address: str) -> Statement:
    """The last statement, if each names the one before it and all are of this account."""
    previous: bytes | None = None
    for sequence, octets in enumerate(entries, 1):
        entry = Entry.decode(octets)
        said = statement.decode(entry.statement)
        if (said.sequence, said.previous) != (sequence, previous) or said.account != address:
            raise StatementInvalid(f"entry {sequence} does not follow the one before it")
        previous = entry.digest
    return said


def _check_behind(
    entries: Sequence[bytes], known: Mapping[str, bytes], opened: Vault, address: str
) -> None:
    """Raise Behind if the chain holds up to an entry that lists a key which is not in the vault,
    and the next one is signed by that key: it cannot be verified here.

    That a key which is not in the vault was listed once does not do: those of other devices are
    removed from it, and what is wrong later would look harmless.
    """
    for count, (before, octets) in enumerate(pairwise(entries), 1):
        with judged("The key history"):
            entry = Entry.decode(octets)
            listed = statement.decode(Entry.decode(before).statement).fingerprints
            if entry.authority is Authority.KEY and entry.signer in listed - known.keys():
                follow(entries[:count], known.values(), opened, address)
                raise Behind(entry.signer)


def check_forced(entries: Sequence[bytes], opened: Vault) -> None:
    """Alarm for an administrator's override that the owner has not looked at."""
    for octets in entries:
        with judged("The key history"):
            entry = Entry.decode(octets)
            said = statement.decode(entry.statement)
        if entry.authority is Authority.FORCED and entry.digest not in opened.accepted:
            when = dt.datetime.fromtimestamp(said.time, dt.UTC)
            raise Alarm(
                f"The server's administrator replaced this account's key by force: entry "
                f"{said.sequence} of its history, dated {when:%Y-%m-%d %H:%M} UTC, names the key "
                f"{min(said.fingerprints)} and is signed by nobody. Unless you asked for it, "
                "someone else reads your new mail. If you did: e2email account accept-override "
                f"{entry.digest.hex()}"
            )


def check_follows(entries: Sequence[bytes], count: int, digest: bytes) -> None:
    """Alarm, unless the entry at `count` (the first is 1) is the one that was seen there."""
    if len(entries) < count:
        raise Alarm("The server gives an older key history than this device has seen.")
    with judged("The key history"):
        found = Entry.decode(entries[count - 1])
    if found.digest != digest:
        raise Alarm("The server gives another key history than this device has seen.")
