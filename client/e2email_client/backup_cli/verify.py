"""`e2email-backup verify`: is a backup file whole, does it open, and what is in it?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.backup_cli._options import FILE, recovery_options
from e2email_client.cli._options import Access, json_option, place_options, show

if TYPE_CHECKING:
    from e2email_client.backups import Found
    from e2email_client.recovery_words import RecoverySource
    from e2email_crypto.backup import Head

DAY = 86_400


@click.command("verify", short_help="Check a backup file.")
@click.argument("file", type=FILE)
@click.option("--passphrase", "by_passphrase", is_flag=True, help="Open it with the passphrase.")
@recovery_options
@place_options
@json_option
def command(
    access: Access,
    file: Path,
    by_passphrase: bool,
    recovery: RecoverySource | None,
    as_json: bool,
) -> None:
    """Check that FILE is whole, which needs no secret, and say whose it is and how old.

    With --words, --shares or --passphrase it is opened as well: keys, key history, contacts and
    every mail in it. Nothing is written anywhere.
    """
    from e2email_client import backups

    if recovery and (by_passphrase or access.source.given):
        raise click.UsageError("Give the passphrase or the words, not both.")
    head = backups.check_whole(file)
    answer = _head(head, int(time.time()), access)
    if recovery:
        answer |= _inside(backups.open_by_words(file, recovery.secret()))
    elif by_passphrase or access.source.given:
        answer |= _inside(backups.open_by_passphrase(file, access.source.existing))
    show(answer, _text(answer), as_json)


def _head(head: Head, now: int, access: Access) -> dict[str, Any]:
    return {
        "account": head.account,
        "server_name": head.server_name,
        "created": head.created,
        "days": max(0, now - head.created) // DAY,
        "has_mail": head.has_mail,
        "seen": _seen(head, access),
        "opened": False,
    }


def _seen(head: Head, access: Access) -> int | None:
    """The newest version of the vault that this machine knows."""
    from e2email_client import config

    paths = access.home.account(head.account)
    if not paths.settings.exists():
        return None
    known = config.load(paths)
    return known.vault_version if known.server_name == head.server_name else None


def _inside(found: Found) -> dict[str, Any]:
    from e2email_client.backups import prove, read_all, stated
    from e2email_client.state_document import CONTACTS

    not_tried = prove(found, int(time.time()))
    mails, octets = read_all(found)
    return {
        "opened": True,
        "vault": found.vault.counter,
        "custody": found.vault.custody.value,
        "fingerprints": sorted(stated(found)),
        "not_tried": not_tried,
        "keys": len(found.vault.identities),
        "statements": len(found.content.statements),
        "contacts": found.count(CONTACTS),
        "mails": mails if found.head.has_mail else None,
        "mail_octets": octets if found.head.has_mail else None,
    }


def _text(answer: dict[str, Any]) -> str:
    day = time.strftime("%Y-%m-%d %H:%M", time.localtime(answer["created"]))
    lines = [
        f"The file is whole: {answer['account']} at {answer['server_name']}, of {day} "
        f"({answer['days']} days ago), {'with' if answer['has_mail'] else 'without'} mail."
    ]
    if not answer["opened"]:
        return "\n".join([*lines, "Whether it opens: --words, --shares or --passphrase."])
    lines.append(
        f"It opens, its keys fit the key history and open what is encrypted to them: "
        f"{answer['keys']} keys, {answer['contacts']} contacts, {answer['custody']} custody."
    )
    for fingerprint, why in answer["not_tried"].items():
        lines.append(f"Nothing can be sealed to {fingerprint} ({why}): it was not tried.")
    if answer["has_mail"]:
        lines.append(f"{answer['mails']} mails, {answer['mail_octets']} octets, all readable.")
    if answer["seen"] is not None:
        same = answer["seen"] <= answer["vault"]
        lines.append(
            "The keys did not change since, as far as this machine knows."
            if same
            else "The keys CHANGED since: make a new backup."
        )
    return "\n".join(lines)
