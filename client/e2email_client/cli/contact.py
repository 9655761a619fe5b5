"""`e2email contact`: other people's keys."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.console import say
from e2email_client.failure import (
    Alarm,
    BadServer,
    Incomplete,
    LocalFault,
    NotThere,
    Offline,
    Refused,
)

if TYPE_CHECKING:
    from e2email_client.contact import Contact
    from e2email_client.contact_rules import Outcome
    from e2email_client.contacts import Contacts
    from e2email_client.finding import Finder, Found
    from e2email_client.unlock import Unlocked


@click.group("contact", short_help="Other people's keys.")
def command() -> None:
    """Whose mail can be encrypted to which key, and since when that is known."""


@command.command("list")
@access_options
@json_option
def list_command(access: Access, as_json: bool) -> None:
    """Everybody of whom a key was ever seen."""
    from e2email_client import contact_view

    with _opened(access) as (unlocked, contacts):
        rows = [_shown(unlocked, one) for one in contacts.every()]
    text = "\n".join(map(contact_view.row, rows)) or "No key of anybody was seen yet."
    show({"contacts": rows}, text, as_json)


@command.command("show")
@click.argument("address")
@access_options
@json_option
def show_command(access: Access, address: str, as_json: bool) -> None:
    """All keys of ADDRESS that were ever seen, where each came from, what was decided."""
    with _opened(access) as (unlocked, contacts):
        _tell(_shown(unlocked, contacts.must(address)), as_json)


@command.command("add")
@click.argument("address")
@click.option("--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="From here.")
@click.option("--directory", "source", flag_value="directory", help="Only this server's directory.")
@click.option("--wkd", "source", flag_value="wkd", help="Only the address's web key directory.")
@access_options
@json_option
def add(access: Access, address: str, path: Path | None, source: str | None, as_json: bool) -> None:
    """Look for the key of ADDRESS: in a file, or in the server's directory and its domain's WKD.

    The first key is trusted; any later one only after `contact decide`.
    """
    if path and source:
        raise click.UsageError("Give one of --file, --directory and --wkd.")
    with _opened(access) as (unlocked, contacts):
        found = _found(_finder(unlocked, contacts), address, path, source)
        alarm = _share(unlocked, contacts)
        contact = contacts.one(address)
        shown = _shown(unlocked, contact) if contact else None
    outcomes = [_outcome(one, found) for one in found.telling]
    answer = {"found": outcomes, "contact": shown}
    show(answer, "\n".join(_added(one) for one in outcomes), as_json)
    _judge(found, address)
    if alarm:
        raise alarm


@command.command("verify")
@click.argument("address")
@click.option("--same", is_flag=True, help="The words are the same: nobody is asked.")
@click.option("--scanned", metavar="TEXT", help="What a scanner read: OPENPGP4FPR:…")
@access_options
@json_option
def verify(access: Access, address: str, same: bool, scanned: str | None, as_json: bool) -> None:
    """Compare keys with ADDRESS in person or by telephone: the same words, or a scanned code."""
    from e2email_client import contact_rules

    with _opened(access) as (unlocked, contacts):
        contact = contacts.must(address)
        now = int(time.time())
        # before anybody is asked: whether there is one key to compare
        contact_rules.verify(contact, "words", now)
        how = _compared(unlocked, contact, scanned, same=same)
        contact = contacts.decide(
            address, lambda one: contact_rules.verify(one, how, int(time.time())), now
        )
        alarm = _share(unlocked, contacts)
        _tell(_shown(unlocked, contact), as_json, "This key is verified.")
    if alarm:
        raise alarm


@command.command("decide")
@click.argument("address")
@click.option("--accept", "choice", flag_value="accept", help="The new key is right.")
@click.option("--keep", "choice", flag_value="keep", help="The pinned key is right.")
@click.option("--distrust", "choice", flag_value="distrust", help="Neither is.")
@click.option("--fingerprint", metavar="HEX", help="With --accept: which, where there are several.")
@access_options
@json_option
def decide(
    access: Access, address: str, choice: str | None, fingerprint: str | None, as_json: bool
) -> None:
    """Say which key of ADDRESS is right, after another one than the pinned one was seen."""
    if fingerprint and choice != "accept":
        raise click.UsageError("--fingerprint is for --accept.")
    with _opened(access) as (unlocked, contacts):
        contact = contacts.must(address)
        wanted = choice or _asked(unlocked, contact)
        change = _changes(fingerprint)[wanted]
        contact = contacts.decide(address, change, int(time.time()))
        alarm = _share(unlocked, contacts)
        _tell(_shown(unlocked, contact), as_json)
    if alarm:
        raise alarm


@contextmanager
def _opened(access: Access) -> Iterator[tuple[Unlocked, Contacts]]:
    from e2email_client.contacts import open_contacts
    from e2email_client.stores import open_stores

    unlocked = access.unlock()
    with open_stores(unlocked) as stores:
        yield unlocked, open_contacts(unlocked, stores)


def _finder(unlocked: Unlocked, contacts: Contacts) -> Finder:
    from e2email_client.api import AccountApi
    from e2email_client.finding import Finder, system_wkd

    return Finder(contacts, AccountApi(unlocked.server), unlocked.login, system_wkd())


def _found(finder: Finder, address: str, path: Path | None, source: str | None) -> Found:
    """Raises NotThere; where something was in the way, what that was."""
    from e2email_client.certificate_files import read_key_file
    from e2email_client.contact import Source

    now, faults = int(time.time()), list[str]()
    found: Found | None
    if path:
        return finder.in_octets(address, read_key_file(path), Source.FILE, now)
    if source == "directory":
        found = finder.in_directory(address, now)
    elif source == "wkd":
        found = finder.in_wkd(address, now)
    else:
        found = finder.everywhere(address, now, faults)
    if found is None:
        if faults:
            raise Offline(" ".join(faults))
        raise NotThere("Nobody publishes a key for this address.")
    return found


def _share(unlocked: Unlocked, contacts: Contacts) -> Alarm | None:
    """To the other devices; without the server it waits for the next sync."""
    from e2email_client.api import AccountApi

    try:
        with suppress(Offline, Refused, BadServer):
            contacts.shared.sync(AccountApi(unlocked.server), unlocked.login)
    except Alarm as alarm:
        return alarm
    return None


def _shown(unlocked: Unlocked, contact: Contact) -> dict[str, Any]:
    from e2email_client import contact_view

    return contact_view.as_json(contact, unlocked.statement.fingerprints, int(time.time()))


def _tell(shown: dict[str, Any], as_json: bool, first: str = "") -> None:
    from e2email_client import contact_view

    lines = ([first, ""] if first else []) + list(contact_view.lines(shown))
    show(shown, "\n".join(lines), as_json)


def _outcome(one: Outcome, found: Found) -> dict[str, Any]:
    return {
        "source": found.source.value,
        "result": one.seen.value,
        "fingerprint": one.fingerprint or None,
        "said": one.said or None,
    }


_RESULTS = {
    "pinned": "is trusted from now on, as the first one seen",
    "known": "is known already",
    "updated": "is known, and was brought up to date",
    "revoked": "was revoked by its owner: nothing is encrypted to it any more",
    "changed": "is another one than the pinned one",
    "followed": "replaces the pinned one, which vouches for it",
}


def _added(one: dict[str, Any]) -> str:
    from e2email_client.contact_view import spaced

    name = spaced(one["fingerprint"]) if one["fingerprint"] else "What was found"
    said = _RESULTS.get(one["result"]) or one["said"]
    return f"{name} {said}."


def _judge(found: Found, address: str) -> None:
    """Alarm: another key than the pinned one. Incomplete: nothing that can be used."""
    from e2email_client.contact_rules import Seen

    seen = {one.seen for one in found.telling}
    if Seen.CHANGED in seen:
        why = next((one.said for one in found.telling if one.said), "another key was found")
        raise Alarm(
            f"The key of this address changed ({why}). Nothing is encrypted to it until you "
            "compare both and say which is right: e2email contact show, contact decide."
        )
    if seen == {Seen.REFUSED}:
        raise Incomplete("No key that can be used was found.")


def _compared(unlocked: Unlocked, contact: Contact, scanned: str | None, *, same: bool) -> str:
    """How: "words" or "qr". LocalFault where they are not the same."""
    from e2email_client import contact_view, qr, verification

    if scanned is not None:
        if verification.scanned(scanned) not in contact.pinned:
            raise Alarm("The scanned code is not of the key that is pinned. Do not trust it.")
        return "qr"
    mine = unlocked.statement.fingerprints
    if same:
        return "words"
    if not sys.stdin.isatty():
        raise LocalFault("Nobody can be asked here: give --same or --scanned.")
    words = verification.both(mine, contact.pinned)
    code = qr.matrix(verification.code(min(mine)), qr.LEVEL_SCREEN)
    for line in (*contact_view.word_lines(list(words)), "", "Or let them scan:"):
        click.echo(line, err=True)
    for line in qr.lines(code):
        click.secho(line, fg="black", bg="bright_white", err=True)
    if not click.confirm("Are all words the same?", err=True):
        raise Alarm("The words differ: one of you has another key. Do not trust it.")
    return "words"


def _asked(unlocked: Unlocked, contact: Contact) -> str:
    from e2email_client import contact_view

    if not sys.stdin.isatty():
        raise click.UsageError("Give one of --accept, --keep and --distrust.")
    say("\n".join(contact_view.lines(_shown(unlocked, contact))), err=True)
    kind = click.Choice(["accept", "keep", "distrust"])
    said: str = click.prompt(
        "The new key (accept), the pinned one (keep), none", type=kind, err=True
    )
    return said


def _changes(fingerprint: str | None) -> dict[str, Any]:
    from e2email_client import contact_rules

    now = int(time.time())
    name = fingerprint.replace(" ", "").upper() if fingerprint else None
    return {
        "accept": partial(contact_rules.accept, now=now, fingerprint=name),
        "keep": partial(contact_rules.keep, now=now),
        "distrust": partial(contact_rules.distrust, now=now),
    }
