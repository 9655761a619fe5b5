"""An account's papers: the recovery sheet and a set of share cards, from its vault."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from e2email_client import backups, paper, paper_pdf, paper_text
from e2email_client.failure import LocalFault
from e2email_client.files import write_private
from e2email_client.paper import About, Secret, Share, Sheet
from e2email_client.paper_pdf import Size
from e2email_client.unlock import Unlocked
from e2email_crypto import paper_codes, recovery, shares
from e2email_crypto.vault import Custody


def about(unlocked: Unlocked, now: int) -> About:
    """`now`: seconds since 1970; the day is that of this machine's clock and zone."""
    settings = unlocked.settings
    return About(
        account=settings.address,
        server_name=settings.server_name,
        server_url=settings.server_url,
        fingerprint=unlocked.statement.certificates[0].fingerprint,
        date=time.strftime("%Y-%m-%d", time.localtime(now)),
        program=f"e2email {version('e2email')}",
        own_ca=settings.own_ca,
    )


def words_of(unlocked: Unlocked) -> Secret:
    found = recovery.to_words(backups.secret_of(unlocked))
    return Secret(found, code(found))


def code(words: tuple[str, ...]) -> str:
    """What the QR code of words says: the words, in capitals, for which QR has a dense mode."""
    return " ".join(words).upper()


def paranoid(unlocked: Unlocked) -> bool:
    return unlocked.vault.custody is Custody.PARANOID


def sheet(unlocked: Unlocked, now: int) -> Sheet:
    """The recovery sheet; in paranoid custody with the locked box as codes."""
    return paper.recovery_sheet(about(unlocked, now), words_of(unlocked), codes(unlocked, now))


def cards(unlocked: Unlocked, least: int, count: int) -> list[Share]:
    """A new set."""
    made = shares.split(backups.secret_of(unlocked), least, count)
    return [Share(at, least, count, words, code(words)) for at, words in enumerate(made, 1)]


def codes(unlocked: Unlocked, now: int) -> tuple[str, ...]:
    """The locked box in parts, where the server does not store it; else none are needed.

    LocalFault where it does not fit on paper any more.
    """
    if not paranoid(unlocked):
        return ()
    try:
        return tuple(paper_codes.encode(backups.for_paper(unlocked, now)))
    except ValueError:
        raise LocalFault(
            "The account has too many old keys for codes on paper: keep a backup file."
        ) from None


def write_cards(
    folder: Path, unlocked: Unlocked, made: Sequence[Share], now: int, size: Size | None
) -> None:
    """A file for each card, and one for the locked box in paranoid custody; without size: text."""
    whose, box = about(unlocked, now), codes(unlocked, now)
    sheets = {
        f"share-{one.number}-of-{one.count}": paper.share_card(whose, one, bool(box))
        for one in made
    }
    if box:
        sheets["locked-box"] = paper.vault_sheet(whose, box)
    for name, one in sheets.items():
        if size is None:
            write_private(folder / f"{name}.txt", paper_text.text(one).encode())
        else:
            write_private(folder / f"{name}.pdf", paper_pdf.pdf(one, size, now))
