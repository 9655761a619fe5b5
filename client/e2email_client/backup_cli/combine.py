"""`e2email-backup combine`: the recovery words from shares."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from e2email_client.backup_cli._options import FILE


@click.command("combine", short_help="The recovery words from shares.")
@click.option("--shares-file", type=FILE, help="Read shares, an empty line between them.")
def command(shares_file: Path | None) -> None:
    """Ask for share after share and give the recovery words.

    Mistyped words are named, with the share they are in. To restore at once: e2email-backup
    restore --shares.
    """
    from e2email_client import papers, secret_screen
    from e2email_client.passphrase import Source
    from e2email_client.recovery_words import RecoverySource
    from e2email_crypto import recovery

    words = recovery.to_words(RecoverySource(True, Source(file=shares_file)).secret())
    if sys.stdin.isatty() and sys.stdout.isatty():
        page = secret_screen.page("Recovery words", words, papers.code(words))
        secret_screen.show([page])
    else:
        click.echo(" ".join(words))
