"""The commands of `e2email key` that change something: each is proved first, then published."""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client import clean
from e2email_client.cli._change import changing
from e2email_client.cli._key_text import as_json as json_of
from e2email_client.cli._key_text import one_line
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.cli._secret import secret_options
from e2email_client.console import say
from e2email_client.failure import LocalFault, NoSecret, Refused

if TYPE_CHECKING:
    from e2email_client.changing import Change
    from e2email_client.passphrase import Source
    from e2email_crypto.keyedit import Profile
    from e2email_crypto.vault import Identity

DAY = 86_400
RESEAL = "Mail that is there stays readable; e2email reseal seals it to the new key, too."


def _say(change: Change, as_json: bool, more: str = "") -> None:
    """The keys as they are now."""
    from e2email_client.key_facts import every

    keys = every(change.vault, change.statement, int(time.time()))
    lines = [*(one_line(one) for one in keys), *([more] if more else [])]
    show({"keys": [json_of(one) for one in keys]}, "\n".join(lines), as_json)


@click.command("rotate")
@click.option("--compromised", is_flag=True, help="Say that somebody may have the old one.")
@access_options
@json_option
def rotate(access: Access, compromised: bool, as_json: bool) -> None:
    """A new encryption key for mail to come; what is there opens as before.

    Of a compat key that is a new subkey, of a modern one a successor.
    """
    from e2email_client import own_keys

    with changing(access) as begun:
        change = own_keys.rotate(begun, int(time.time()), compromised=compromised)
    _say(change, as_json, RESEAL)


@click.command("extend")
@click.option("--until", metavar="DATE", help="YYYY-MM-DD, or never (the default).")
@click.option("--days", type=click.IntRange(1), metavar="N", help="So many days from today.")
@access_options
@json_option
def extend(access: Access, until: str | None, days: int | None, as_json: bool) -> None:
    """When the key in use expires: never, unless a date is given. Also for one that has expired."""
    from e2email_client import own_keys

    if until is not None and days is not None:
        raise click.UsageError("Give --until or --days, not both.")
    now = int(time.time())
    expires = now + days * DAY if days is not None else _date(until)
    with changing(access) as begun:
        change = own_keys.extend(begun, expires, now)
    _say(change, as_json)


def _date(text: str | None) -> int | None:
    if text in (None, "never"):
        return None
    try:
        day = dt.date.fromisoformat(text or "")
    except ValueError:
        raise click.UsageError("--until takes YYYY-MM-DD or never.") from None
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp())


@click.command("add-address")
@click.argument("address")
@click.option("--name", default="", help="The name beside it in the key.")
@access_options
@json_option
def add_address(access: Access, address: str, name: str, as_json: bool) -> None:
    """The key is for ADDRESS, too, which has to lead to this account at the server."""
    from e2email_client import own_keys

    with changing(access) as begun:
        change = own_keys.add_address(begun, address.lower(), name, int(time.time()))
    _say(change, as_json)


@click.command("new")
@click.option("--name", default="", help="The name that stands in the key.")
@click.option("--profile", type=click.Choice(("compat", "modern")), default="compat")
@access_options
@json_option
def new(access: Access, name: str, profile: str, as_json: bool) -> None:
    """A fresh key in place of the one in use, which stays for reading.

    compat: every OpenPGP program can use it; modern: those that know RFC 9580.
    """
    from e2email_client import own_keys

    with changing(access) as begun:
        kind: Profile = "modern" if profile == "modern" else "compat"
        change = own_keys.new(begun, name, kind, int(time.time()))
    _say(change, as_json, RESEAL)


@click.command("import")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--for-reading", is_flag=True, help="Open mail with it, and seal none to it.")
@click.option("--recipient-only", is_flag=True, help="A public key: of a device with its own.")
@secret_options("import", "The passphrase of the key in FILE")
@access_options
@json_option
def import_key(
    access: Access,
    file: Path,
    for_reading: bool,
    recipient_only: bool,
    import_source: Source,
    as_json: bool,
) -> None:
    """Take over a secret key from gpg, Thunderbird or sq: it becomes the account's key.

    The one that was in use stays for reading. With --recipient-only FILE is the public key of
    another device, and mail is sealed to both from now on.
    """
    from e2email_client import key_files, own_keys

    if for_reading and recipient_only:
        raise click.UsageError("--for-reading or --recipient-only, not both.")
    octets, now = key_files.read(file), int(time.time())
    if recipient_only:
        certificate = key_files.certificate(octets)
        with changing(access) as begun:
            change = own_keys.add_recipient(begun, certificate, now)
        _say(change, as_json)
        return
    identity = _identity(octets, import_source, now, clean.line(str(file)))
    with changing(access) as begun:
        act = own_keys.keep_for_reading if for_reading else own_keys.take
        change = act(begun, identity, now)
    _say(change, as_json, "" if for_reading else RESEAL)


def _identity(octets: bytes, source: Source, now: int, name: str) -> Identity:
    """A passphrase is asked for where the file needs one."""
    from e2email_client import key_files

    written = source.written() if source.given else None
    try:
        return key_files.identity(octets, written, now)
    except NoSecret:
        if source.given or not sys.stdin.isatty():
            raise
    return key_files.identity(octets, source.existing(name), now)


@click.command("remove")
@click.argument("fingerprint")
@access_options
@json_option
def remove(access: Access, fingerprint: str, as_json: bool) -> None:
    """Mail to come is not sealed to the key of that device any more (import --recipient-only)."""
    from e2email_client import own_keys
    from e2email_client.key_facts import Role, every, find

    now = int(time.time())
    with changing(access) as begun:
        found = find(every(begun.vault, begun.statement, now), fingerprint)
        if found.role is not Role.DEVICE:
            raise LocalFault("That key is in the vault, and keys in the vault stay, for reading.")
        change = own_keys.remove_recipient(begun, found.fingerprint, now)
    _say(change, as_json)


@click.command("revoke")
@click.option(
    "--reason",
    type=click.Choice(("compromised", "superseded", "retired", "unspecified")),
    required=True,
    help="What others are told.",
)
@click.option("--fingerprint", metavar="FINGERPRINT", help="All of it, in place of being asked.")
@access_options
@json_option
def revoke(access: Access, reason: str, fingerprint: str | None, as_json: bool) -> None:
    """Revoke the key in use, for ever and for everybody.

    Mail to you is refused from then on, until there is another key: e2email key new. What is
    there can be read as before. To replace a key that nobody has stolen, e2email key rotate or
    new is enough.
    """
    from e2email_client import own_keys
    from e2email_client.key_facts import grouped
    from e2email_crypto.keyedit import Reason

    with changing(access) as begun:
        wanted = begun.vault.identities[0].fingerprint
        if fingerprint is None:
            say(f"The key {grouped(wanted)} will be revoked. This cannot be undone.", err=True)
            fingerprint = click.prompt("Type its last eight digits to go on", err=True)
            meant = len(fingerprint.strip()) == 8 and wanted.endswith(fingerprint.strip().upper())
        else:
            meant = "".join(fingerprint.split()).upper() == wanted
        if not meant:
            raise Refused(
                "CANNOT", "That is not the fingerprint of the key in use; nothing was done."
            )
        change = own_keys.revoke(begun, Reason[reason.upper()], int(time.time()))
    _say(change, as_json, "Mail to you is refused now. A new key: e2email key new")


COMMANDS = (rotate, extend, add_address, new, import_key, remove, revoke)
