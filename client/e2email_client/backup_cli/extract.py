"""`e2email-backup extract`: what a backup file holds, without any server."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.backup_cli._options import FILE, codes_option, read_codes, recovery_options
from e2email_client.cli._options import Access, json_option, place_options, show
from e2email_client.failure import NotThere
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.backups import Found


@click.command("extract", short_help="Mail and key from a backup file, without a server.")
@click.argument("file", type=FILE, required=False)
@codes_option
@click.option("--mail", type=click.Path(path_type=Path), metavar="FOLDER", help="Write its mail.")
@click.option(
    "--format",
    "kind",
    type=click.Choice(["maildir", "mbox"]),
    default="maildir",
    show_default=True,
    help="How --mail writes it.",
)
@click.option("--secret-key", type=FILE, metavar="FILE", help="Write the OpenPGP keys.")
@click.option("--key-passphrase-file", type=FILE, help="The passphrase to lock that key with.")
@click.option("--passphrase", is_flag=True, help="Open FILE with the passphrase of its day.")
@recovery_options
@place_options
@json_option
def command(
    access: Access,
    file: Path | None,
    codes: Path | None,
    mail: Path | None,
    kind: str,
    secret_key: Path | None,
    key_passphrase_file: Path | None,
    passphrase: bool,
    recovery: RecoverySource | None,
    as_json: bool,
) -> None:
    """Write the mail in FILE to a new FOLDER, or the keys to a file; asks for the recovery words.
    With --codes, the keys that a sheet has.

    No network is used and nothing is set up. Each mailbox becomes a Maildir, which every mail
    program reads and e2email import takes into an account. The keys are locked with a passphrase
    that you choose; gpg and Thunderbird import them.
    """
    by_passphrase = passphrase or access.source.given
    if by_passphrase and recovery:
        raise click.UsageError("Give the words or the passphrase, not both.")
    if bool(file) == bool(codes):
        raise click.UsageError("Give a FILE or --codes.")
    if codes and by_passphrase:
        raise click.UsageError("A sheet opens with the words.")
    if not (mail or secret_key):
        raise click.UsageError("Say what to write: --mail, --secret-key or both.")
    from e2email_client import backups

    source = file or read_codes(codes or Path())
    found = (
        backups.open_by_passphrase(source, access.source.existing)
        if by_passphrase
        else backups.open_by_words(source, (recovery or RecoverySource()).secret())
    )
    answer: dict[str, Any] = {"account": found.head.account, "secret_key": None, "mails": None}
    if secret_key:
        _write_key(found, secret_key, Source(file=key_passphrase_file))
        answer["secret_key"] = str(secret_key)
    if mail:
        answer["mails"] = _write_mail(found, mail, kind)
    show(answer, _text(answer, mail, secret_key), as_json)


def _write_key(found: Found, path: Path, source: Source) -> None:
    from e2email_client import key_files
    from e2email_client.files import write_private

    phrase, now = source.new(found.head.account), int(time.time())
    keys = [
        key_files.secret(found.vault, one.fingerprint, phrase, now)
        for one in found.vault.identities
    ]
    # blocks one after another: gpg and Thunderbird read all of them
    write_private(path, b"".join(key_files.armored(one, key_files.Kind.SECRET) for one in keys))


def _write_mail(found: Found, folder: Path, kind: str) -> int:
    """Nothing is left where the file turns out to be damaged."""
    from e2email_client.judge import judged
    from e2email_client.mailfolders import writing

    if found.opened.mail is None:
        raise NotThere("This backup was made without mail.")
    count = 0
    with judged("The backup"), writing(folder, kind) as target:
        for one in found.opened.mail:
            target.put(one.mailbox, one.octets, one.flags, one.time)
            count += 1
    return count


def _text(answer: dict[str, Any], mail: Path | None, secret_key: Path | None) -> str:
    lines = []
    if mail:
        lines.append(f"{answer['mails']} mails of {answer['account']} are in {mail}.")
    if secret_key:
        lines.append(f"The keys, locked with that passphrase: {secret_key}. gpg --import reads it.")
    return "\n".join(lines)
