"""`e2email-backup restore`: an account comes back from words, shares, a file or a sheet."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.backup_cli._options import FILE, codes_option, read_codes, recovery_options
from e2email_client.cli._options import Access, json_option, place_options, show
from e2email_client.failure import NotThere, Offline
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.account import Done, Wish
    from e2email_client.api import Server
    from e2email_client.backups import Found

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
    as_json: bool,
) -> None:
    """Set the account up on this machine by the recovery words (asked for), shares or a FILE.

    Without FILE the server gives everything: name it and the address. A new passphrase is asked
    for, and the old one ends. What the server has is preferred to what FILE has, and may not be
    older.
    """
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
        done = _restore(wish, found, secret)
    except Offline as fault:
        raise Offline(f"{fault} {GONE}") from fault
    _take_state(wish, found)
    answer = {"account": name, "server": where.url, "fingerprint": done.fingerprint}
    show(answer, _text(name, file if found and found.head.has_mail else None), as_json)


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

    machine = (device or platform.node() or "this machine")[:64]
    new = access.source.new(address)
    return Wish(access.home, address, server, machine, new, access.keyring())


def _restore(wish: Wish, found: Found | None, secret: bytes) -> Done:
    from e2email_client.joining import recover, restore_account
    from e2email_client.owner import Saved

    now = int(time.time())
    if found is None:
        return recover(wish, secret, now)
    saved = Saved(found.key, found.content.vault, found.content.statements)
    return restore_account(wish, saved, secret, now)


def _take_state(wish: Wish, found: Found | None) -> None:
    """Contacts and settings of the backup; where the server's are newer, those win."""
    from e2email_client.drilling import unlock_with
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    if found is None or found.content.state is None:
        return
    unlocked = unlock_with(wish.home.account(wish.address), wish.passphrase)
    with open_stores(unlocked) as stores:
        SharedState(unlocked, stores.state).adopt(found.content.state)


def _text(name: str, with_mail: Path | None) -> str:
    lines = [
        f"{name} is set up on this machine, with the new passphrase. Next: e2email sync",
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
