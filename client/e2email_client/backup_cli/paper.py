"""`e2email-backup paper`: the recovery words on paper or on the screen."""

from __future__ import annotations

import time
from pathlib import Path

import click

from e2email_client.backup_cli._options import FILE, size_option, unlock_afresh
from e2email_client.cli._options import Access, access_options, json_option, show


@click.command("paper", short_help="The recovery words, to be printed or copied.")
@click.option("--pdf", type=FILE, metavar="FILE", help="Write a sheet to be printed.")
@click.option("--text", type=FILE, metavar="FILE", help="Write the sheet as plain text.")
@size_option
@access_options
@json_option
def command(access: Access, pdf: Path | None, text: Path | None, size: str, as_json: bool) -> None:
    """Give the recovery words with all that somebody needs to use them; asks for the passphrase.

    Without --pdf and --text the words are shown on the screen, to be copied by hand. Printers
    remember what they printed: see docs/backup.md.
    """
    from e2email_client import care, paper_pdf, paper_text, papers, secret_screen
    from e2email_client.backup_cli._records import record
    from e2email_client.files import write_private

    unlocked = unlock_afresh(access)
    now = int(time.time())
    if pdf or text:
        sheet = papers.sheet(unlocked, now)
        if pdf:
            write_private(pdf, paper_pdf.pdf(sheet, paper_pdf.Size(size), now))
        if text:
            write_private(text, paper_text.text(sheet).encode())
    else:
        words = papers.words_of(unlocked)
        secret_screen.show([secret_screen.page("Recovery words", words.words, words.code)])
    record(unlocked, care.Kind.PAPER, now)
    written = [str(path) for path in (pdf, text) if path]
    said = [f"Written: {path}. Print it, check that it can be read, then delete it."
            for path in written]  # fmt: skip
    if papers.paranoid(unlocked) and not written:
        said.append(
            "Your server stores no keys: these words are of use only with a backup file, or with "
            "the codes of a sheet (--pdf)."
        )
    tried = " --codes CODES.txt" if papers.paranoid(unlocked) else ""
    said.append(f"Try it once, with the paper in hand: e2email-backup drill{tried}")
    show({"files": written}, "\n".join(said), as_json)
