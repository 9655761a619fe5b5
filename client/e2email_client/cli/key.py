"""`e2email key`: the account's own OpenPGP keys."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client import clean
from e2email_client.cli import _key_edits
from e2email_client.cli._key_text import as_json as json_of
from e2email_client.cli._key_text import described, one_line, screen
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.cli._secret import secret_options
from e2email_client.failure import LocalFault

if TYPE_CHECKING:
    from e2email_client.key_facts import KeyFacts
    from e2email_client.passphrase import Source
    from e2email_client.unlock import Unlocked


@click.group("key", short_help="Your own keys.")
def command() -> None:
    """The keys that mail to you is sealed to, and that you read it with."""


for edit in _key_edits.COMMANDS:
    command.add_command(edit)

fingerprint_argument = click.argument("fingerprint", required=False)


@command.command("list")
@access_options
@json_option
def list_keys(access: Access, as_json: bool) -> None:
    """All keys of the account, the one in use first."""
    _, keys = _keys(access)
    answer = {"keys": [json_of(one) for one in keys]}
    show(answer, "\n".join(one_line(one) for one in keys), as_json)


@command.command("show")
@fingerprint_argument
@click.option("--no-qr", is_flag=True, help="Without the QR code.")
@access_options
@json_option
def show_key(access: Access, fingerprint: str | None, no_qr: bool, as_json: bool) -> None:
    """One key (the one in use), with words and a QR code for comparing.

    FINGERPRINT may be its last digits.
    """
    from e2email_client import verification
    from e2email_client.key_facts import Role, find

    unlocked, keys = _keys(access)
    found = find(keys, fingerprint)
    words = None
    if found.role is not Role.READING:  # contacts compare all keys that mail is sealed to at once
        words = list(verification.half(unlocked.statement.fingerprints))
    lines = described(found)
    lines += [f"Words        {' '.join(words)}"] if words else []
    if not no_qr and not as_json:
        lines += ["", *screen(found)]
    show(json_of(found) | {"words": words}, "\n".join(lines), as_json)


@command.command("export")
@fingerprint_argument
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="To this file.")
@click.option("--binary", is_flag=True, help="Not armored.")
@click.option("--secret", is_flag=True, help="The secret key, under a passphrase of its own.")
@click.option("--revocation", is_flag=True, help="The certificate that revokes the key.")
@secret_options("export", "The passphrase of the exported secret key")
@access_options
@json_option
def export(
    access: Access,
    fingerprint: str | None,
    out: Path | None,
    binary: bool,
    secret: bool,
    revocation: bool,
    export_source: Source,
    as_json: bool,
) -> None:
    """Write a key for others or for other programs: the public one, unless told otherwise."""
    from e2email_client import key_files
    from e2email_client.files import write_private
    from e2email_client.key_facts import find

    if secret and revocation:
        raise click.UsageError("--secret or --revocation, not both.")
    if as_json and out is None:
        raise click.UsageError("--json needs --out.")
    unlocked, keys = _keys(access)
    found = find(keys, fingerprint)
    if secret:
        passphrase = export_source.new("the exported key")
        now = int(time.time())
        octets = key_files.secret(unlocked.vault, found.fingerprint, passphrase, now)
    elif revocation:
        octets = key_files.revocation(unlocked.vault, found.fingerprint)
    else:
        octets = found.certificate
    kind = key_files.Kind.SECRET if secret else key_files.Kind.PUBLIC
    octets = octets if binary else key_files.armored(octets, kind)
    if out is None:
        click.echo(octets, nl=False)
        return
    if out.exists():
        raise LocalFault(f"{out} is there already; nothing is overwritten.")
    write_private(out, octets)
    written = {"fingerprint": found.fingerprint, "file": str(out)}
    show(written, f"Written to {clean.line(str(out))}.", as_json)


def _keys(access: Access) -> tuple[Unlocked, list[KeyFacts]]:
    from e2email_client.key_facts import every

    unlocked = access.unlock()
    return unlocked, every(unlocked.vault, unlocked.statement, int(time.time()))
