"""`e2email-backup restore`: an account comes back from words, shares, a file or a sheet."""

from __future__ import annotations

import datetime as dt
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.backup_cli._options import FILE, codes_option, read_codes, recovery_options
from e2email_client.cli._options import Access, json_option, place_options, show
from e2email_client.failure import NotThere, Offline, Refused, WrongSecret
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.account import Done, Wish
    from e2email_client.api import Server
    from e2email_client.backups import Found
    from e2email_client.owner import Outdated

LOST = (
    "If a newer backup or sheet exists, or a computer that is still set up, use that: then nothing "
    "is lost. Else the account can go on from this backup with a fresh key, which your recovery "
    "words vouch for. What is lost then is the mail since that moment, until the newer keys turn "
    "up, and nothing else: what came before opens, and so does what comes from now on."
)
GONE = (
    "If it is gone for ever, e2email-backup extract gives what a backup file holds: the key, and "
    "the mail if it was made with --mail."
)


@click.command("restore", short_help="Bring an account back.")
@click.argument("file", type=FILE, required=False)
@codes_option
@click.option("--address", help="The account, where neither FILE nor codes say it.")
@click.option("--server", metavar="URL", help="https://HOST or https://HOST:PORT.")
@click.option("--server-name", metavar="NAME", help="The server's name, where URL has another.")
@click.option("--ca", type=FILE, help="PEM file of the authority to trust for this server.")
@click.option("--device", metavar="NAME", help="What to call this machine.")
@click.option("--old-passphrase", is_flag=True, help="Open FILE with the passphrase of its day.")
@click.option("--old-passphrase-file", type=FILE, help="The same, from a file.")
@click.option(
    "--continue",
    "go_on",
    is_flag=True,
    help="Where FILE or codes are older than the account's keys: go on with a fresh key.",
)
@recovery_options
@place_options
@json_option
def command(
    access: Access,
    file: Path | None,
    codes: Path | None,
    address: str | None,
    server: str | None,
    server_name: str | None,
    ca: Path | None,
    device: str | None,
    old_passphrase: bool,
    old_passphrase_file: Path | None,
    recovery: RecoverySource | None,
    go_on: bool,
    as_json: bool,
) -> None:
    """Set the account up on this machine by the recovery words (asked for), shares or a FILE.

    Without FILE the server gives everything: name it and the address. A new passphrase is asked
    for, and the old one ends. What the server has is preferred to what FILE has, and may not be
    older; what it lost of the keys is put back from FILE.
    """
    from e2email_client.devices import introduce

    by_old = old_passphrase or old_passphrase_file is not None
    _check(file, codes, address, server, by_old=by_old, by_words=recovery is not None)
    found = None
    if by_old and file:
        found = _by_passphrase(file, Source(file=old_passphrase_file))
        secret = _recovery_of(found)
    else:
        secret = (recovery or RecoverySource()).secret()
        found = _by_words(file, codes, secret)
    where = _server(found, server, server_name, ca)
    name = found.head.account if found else str(address).lower()
    wish = _wish(access, name, where, device)
    try:
        done, since = _restore(wish, found, secret, go_on=go_on)
    except Offline as fault:
        raise Offline(f"{fault} {GONE}") from fault
    introduce(done, int(time.time()))
    answer = {
        "account": name,
        "server": where.url,
        "fingerprint": done.fingerprint,
        "continued_since": since,
    }
    show(answer, _text(name, file if found and found.head.has_mail else None, since), as_json)


def _check(
    file: Path | None,
    codes: Path | None,
    address: str | None,
    server: str | None,
    *,
    by_old: bool,
    by_words: bool,
) -> None:
    if file and codes:
        raise click.UsageError("Give a FILE or --codes, not both.")
    if not (file or codes or (address and server)):
        raise click.UsageError("Without a FILE, --address and --server are needed.")
    if address and (file or codes):
        raise click.UsageError("FILE and codes say the address themselves.")
    if by_old and (by_words or not file):
        raise click.UsageError("The old passphrase opens a FILE, in place of the words.")


def _by_passphrase(file: Path, source: Source) -> Found:
    from e2email_client import backups

    return backups.open_by_passphrase(file, source.existing)


def _recovery_of(found: Found) -> bytes:
    """The server takes no old passphrase, but the recovery secret in the vault."""
    if found.vault.recovery is None:
        raise NotThere("This backup has no recovery secret: only extract can be done with it.")
    return found.vault.recovery


def _by_words(file: Path | None, codes: Path | None, secret: bytes) -> Found | None:
    from e2email_client import backups

    stored = file or (read_codes(codes) if codes else None)
    return backups.open_by_words(stored, secret) if stored else None


def _server(found: Found | None, url: str | None, name: str | None, ca: Path | None) -> Server:
    """As the command line says, else as the backup knows it."""
    from e2email_client.api import read_url
    from e2email_client.failure import LocalFault
    from e2email_client.files import read_private

    authority = read_private(ca) if ca else found.content.settings.ca if found else None
    known = found.content.settings.server_url if found else ""
    try:
        return read_url(url or known, found.head.server_name if found else name, authority)
    except LocalFault as fault:
        raise click.UsageError(str(fault)) from None


def _wish(access: Access, address: str, server: Server, device: str | None) -> Wish:
    from e2email_client.account import Wish
    from e2email_protocol import account as messages

    machine = device[: messages.NAME_CAP] if device else None
    new = access.source.new(address)
    return Wish(access.home, address, server, machine, new, access.keyring())


def _restore(
    wish: Wish, given: Found | None, secret: bytes, *, go_on: bool
) -> tuple[Done, int | None]:
    """(…, since when mail stays closed: where the account had to go on with a fresh key)."""
    from e2email_client import continuing
    from e2email_client.joining import recover
    from e2email_client.owner import Outdated

    now, since = int(time.time()), None
    if given is None:
        return recover(wish, secret, now), None
    found = continuing.newest(wish.home, given, secret)
    try:
        done = _from_backup(wish, found, given, secret, now)
    except Outdated as why:
        if not go_on:
            _agreed(why)
        since = why.since
        found = continuing.carry_on(wish, found, given.content.statements, secret, now)
        done = _from_backup(wish, found, given, secret, now)
    _take_state(wish, found)
    continuing.finished(wish.home, wish.address)
    return done, since


def _from_backup(wish: Wish, found: Found, given: Found, secret: bytes, now: int) -> Done:
    from e2email_client.joining import restore_account
    from e2email_client.owner import Saved

    held = found.content
    saved = Saved(found.key, held.vault, given.content.statements, held.state)
    try:
        return restore_account(wish, saved, secret, now)
    except WrongSecret as fault:
        raise WrongSecret(
            f"{fault} These words open the backup: if it is the right server, newer words are in "
            "force there. Use those, with a backup or sheet that was made with them."
        ) from fault


def _agreed(why: Outdated) -> None:
    """A person at a terminal says yes; else Refused, with what can be said."""
    if sys.stdin.isatty() and sys.stderr.isatty():
        click.echo(f"{why}\n{LOST}", err=True)
        if click.confirm("Go on with a fresh key?", err=True):
            return
        raise Refused(why.code, "Nothing was changed.")
    raise Refused(why.code, f"{why} {LOST} For that say --continue.")


def _take_state(wish: Wish, found: Found) -> None:
    """Contacts and settings of the backup; where the server's are newer, those win."""
    from e2email_client.drilling import unlock_with
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    if found.content.state is None:
        return
    unlocked = unlock_with(wish.home.account(wish.address), wish.passphrase)
    with open_stores(unlocked) as stores:
        SharedState(unlocked, stores.state).adopt(found.content.state)


def _text(name: str, with_mail: Path | None, since: int | None) -> str:
    lines = [f"{name} is set up on this machine, with the new passphrase. Next: e2email sync"]
    if since is not None:
        day = dt.datetime.fromtimestamp(since).astimezone()
        lines.append(
            f"It goes on with a fresh key. Mail from {day:%Y-%m-%d %H:%M} until now stays closed; "
            "should a newer backup or sheet turn up: e2email-backup extract FILE --secret-key "
            "KEY.asc, then e2email key import KEY.asc --for-reading. Make a new backup now."
        )
    lines += [
        "Was a machine lost or stolen? e2email device list shows what may still log in.",
        "May somebody have seen the words? Make new ones: e2email account recovery new, then "
        "e2email account rekey, e2email key rotate, and a new sheet.",
    ]
    if with_mail:
        lines.append(
            f"The mail in the file, if the server has lost some: e2email-backup extract "
            f"{with_mail} --mail FOLDER"
        )
    return "\n".join(lines)
