"""`e2email-backup split`: the recovery secret in shares, a card for each."""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2email_client.backup_cli._options import size_option, unlock_afresh
from e2email_client.cli._options import Access, access_options, json_option, show

_SHARES = click.IntRange(2, 16)  # SLIP-39


@click.command("split", short_help="Shares of the recovery words, for people you trust.")
@click.argument("least", metavar="M", type=_SHARES)
@click.argument("count", metavar="N", type=_SHARES)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--text", "as_text", is_flag=True, help="Cards as plain text in place of PDF.")
@size_option
@access_options
@json_option
def command(
    access: Access,
    least: int,
    count: int,
    folder: Path | None,
    as_text: bool,
    size: str,
    as_json: bool,
) -> None:
    """Make N cards, any M of which together give the recovery words; fewer reveal nothing.

    They are written to FOLDER, which must not exist; without it they are shown on the screen, one
    after another. Asks for the passphrase.
    """
    if least > count:
        raise click.UsageError("There cannot be more shares needed (M) than there are (N).")
    from e2email_client import care, papers, secret_screen
    from e2email_client.backup_cli._records import record
    from e2email_client.files import new_folder
    from e2email_client.paper_pdf import Size
    from e2email_client.papers import write_cards

    unlocked = unlock_afresh(access)
    now = int(time.time())
    made = papers.cards(unlocked, least, count)
    if folder is None:
        secret_screen.show(
            [
                secret_screen.page(
                    f"Share {one.number} of {count}, {least} needed", one.words, one.code
                )
                for one in made
            ]
        )
    else:
        with new_folder(folder) as new:
            write_cards(new, unlocked, made, now, None if as_text else Size(size))
    record(unlocked, care.Kind.PAPER, now)
    box = "--codes CODES.txt " if papers.paranoid(unlocked) else ""
    show(
        {"least": least, "count": count, "folder": str(folder) if folder else None},
        f"{count} cards{f' are in {folder}' if folder else ''}; any {least} of them give the "
        f"recovery words. Try it once: e2email-backup drill {box}--shares",
        as_json,
    )
