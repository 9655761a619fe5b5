"""`e2email-backup drill`: try whether everything comes back, and change nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.backup_cli._options import FILE, codes_option, read_codes, recovery_options
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import Alarm, Refused
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.backups import Found
    from e2email_client.drilling import Restored
    from e2email_client.local.mails import Summary
    from e2email_client.unlock import Unlocked


@click.command("drill", short_help="Try whether your account can be restored.")
@click.argument("file", type=FILE, required=False)
@codes_option
@recovery_options
@access_options
@json_option
def command(
    access: Access,
    file: Path | None,
    codes: Path | None,
    recovery: RecoverySource | None,
    as_json: bool,
) -> None:
    """Restore the account into a place that is thrown away, and open a real mail there.

    From the server by the words on your paper (asked for), by shares, or from a backup FILE.
    Nothing is changed: not your passphrase, not your devices, not the server. The day is noted.
    """
    import asyncio

    from e2email_client import backups, care, drilling
    from e2email_client.backup_cli._records import record
    from e2email_crypto.vault import Custody

    if file and codes:
        raise click.UsageError("Give a FILE or --codes, not both.")
    unlocked = access.unlock()
    if unlocked.vault.custody is Custody.PARANOID and not (file or codes):
        raise Refused(
            "custody",
            "Your server stores no keys (paranoid custody): give the backup FILE, or --codes with "
            "the texts of the sheet's codes.",
        )
    source = recovery or RecoverySource()
    secret = source.secret()
    stored = file or (read_codes(codes) if codes else None)
    found = backups.open_by_words(stored, secret) if stored else None
    restored = _restored(unlocked, secret, found, from_file=file is not None)
    mails = backups.read_all(found)[0] if found and found.head.has_mail else None
    sealed = asyncio.run(drilling.newest_sealed(unlocked))
    with drilling.set_up(access.home, restored) as anew:
        same = anew.vault.counter >= unlocked.vault.counter
        opened = drilling.open_one(anew, sealed)
    now = int(time.time())
    succeeded = opened is not None or not sealed
    if succeeded:
        record(unlocked, care.Kind.DRILL, now)
    answer = {
        "account": unlocked.settings.address,
        "source": "file" if file else "codes" if codes else "server",
        "by": "shares" if source.by_shares else "words",
        "opened": _mail(opened) if opened else None,
        "mails": mails,
        "up_to_date": same,
        "succeeded": succeeded,
    }
    show(answer, _text(answer, sealed=bool(sealed)), as_json)
    if not succeeded:
        raise Alarm("What was restored does not open your newest mail: make a new backup.")


def _restored(
    unlocked: Unlocked, secret: bytes, found: Found | None, *, from_file: bool
) -> Restored:
    """From a file alone what is in it; else with the server, which codes only add to."""
    from e2email_client import drilling
    from e2email_client.owner import Saved

    if found and from_file:
        ca, content = found.content.settings.ca, found.content
        return drilling.Restored(found.settings, found.key, content.vault, content.statements, ca)
    saved = Saved(found.key, found.content.vault, found.content.statements) if found else None
    return drilling.from_server(unlocked.settings, unlocked.server, secret, saved)


def _mail(opened: Summary) -> dict[str, Any]:
    return {"date": opened.date, "from": opened.sender, "subject": opened.subject}


def _text(answer: dict[str, Any], *, sealed: bool) -> str:
    what = "shares" if answer["by"] == "shares" else "words"
    where = {"server": "from the server", "file": "from the file", "codes": "from the codes"}
    lines = [f"PROVEN: your {what} bring {answer['account']} back {where[answer['source']]}."]
    if mail := answer["opened"]:
        day = time.strftime(" of %Y-%m-%d", time.localtime(mail["date"])) if mail["date"] else ""
        lines.append(
            f"PROVEN: the restored key opens your mail{day} from "
            f"{clean.line(mail['from'], 60)}: {clean.line(mail['subject'], 60)}"
        )
    elif not sealed:
        lines.append("NOT PROVEN: that mail opens. There is none yet; try again when there is.")
    if answer["mails"] is not None:
        lines.append(f"PROVEN: {answer['mails']} mails in the file can be read.")
    if answer["source"] == "file" and answer["mails"] is None:
        lines.append("NOT PROVEN: that mail survives its server. This file has none: create --mail")
    if answer["source"] != "file":
        lines.append("NOT PROVEN: that a backup file helps when the server is gone: drill FILE")
    if answer["by"] == "shares":
        lines.append("NOT PROVEN: the shares that were not typed.")
    if not answer["up_to_date"]:
        lines.append("Your keys CHANGED since this backup was made: make a new one.")
    lines.append("Nothing was changed; the temporary copy is deleted. The day is noted.")
    return "\n".join(lines)
