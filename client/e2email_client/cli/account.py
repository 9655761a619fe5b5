"""`e2email account`: its secrets, where its keys are kept, how the server treats it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.cli._secret import secret_options
from e2email_client.cli._words import at_terminal, show_again, show_words, write_words
from e2email_client.console import say
from e2email_client.failure import LocalFault
from e2email_client.passphrase import Source
from e2email_protocol import account as messages

if TYPE_CHECKING:
    from e2email_client.changing import Change

_MEANING = {
    "proxy": "the proxy on the user's own machine",
    "sealed": "the server, where mail is encrypted",
    "none": "nothing",
}
OLD_COPIES = (
    "Who kept an old copy of your sealed keys and learns the old passphrase can still open that "
    "copy. If that may be: e2email account rekey, e2email key rotate, e2email reseal."
)


@click.group("account", short_help="The secrets of this account, and how its server treats it.")
def command() -> None:
    """The secrets of this account, and how its server treats it."""


@contextmanager
def _changing(access: Access) -> Iterator[tuple[Change, str]]:
    """A change with the passphrase that began it: some are made under the same one anew."""
    from e2email_client import config
    from e2email_client.changing import begin
    from e2email_client.owner import Passphrase

    paths = access.paths()
    text = access.source.existing(config.load(paths).address)
    with begin(paths, Passphrase(text), access.keyring()) as change:
        yield change, text


@command.command("passphrase", short_help="Choose another passphrase.")
@secret_options("new", "The new passphrase")
@access_options
@json_option
def passphrase(access: Access, new_source: Source, as_json: bool) -> None:
    """Choose another passphrase. No mail is rewritten, and the recovery words stay as they are.

    Other machines open with the old one until they were online once: e2email account refresh.
    """
    from e2email_client.account_key import new_passphrase

    with _changing(access) as (change, _):
        new_passphrase(change, new_source.new(change.settings.address))
    said = f"The passphrase is changed. On other machines: e2email account refresh.\n{OLD_COPIES}"
    show({"address": change.settings.address, "changed": "passphrase"}, said, as_json)


@command.command("refresh", short_help="Fetch what other machines changed.")
@access_options
@json_option
def refresh(access: Access, as_json: bool) -> None:
    """Fetch what other machines changed: keys, passphrase, devices. Needs the passphrase."""
    with _changing(access) as (change, _):
        last = change.statement
    address = change.settings.address
    show(
        {"address": address, "sequence": last.sequence, "vault": change.vault.counter},
        f"{address} is up to date (entry {last.sequence} of its key history).",
        as_json,
    )


@command.command("rekey", short_help="After a machine was lost: a new account key.")
@access_options
@json_option
def rekey(access: Access, as_json: bool) -> None:
    """Replace the key that your keys and state are sealed under, after a machine was lost.

    Passphrase and recovery words stay. Who has the old one opens nothing that is written from now
    on; the keys that he has already, e2email key rotate replaces.
    """
    from e2email_client.account_key import new_key

    with _changing(access) as (change, text):
        new_key(change, text)
    said = (
        "The account key is replaced. Stop and start e2email-proxy where it runs; on other "
        "machines: e2email account refresh before that.\n"
        "Backup files made before are opened by the recovery words as before; make a new one."
    )
    show({"address": change.settings.address, "changed": "account key"}, said, as_json)


@command.command("custody", short_help="Who keeps your sealed keys.")
@click.argument("choice", type=click.Choice(["cautious", "paranoid"]), required=False)
@click.option(
    "--yes-i-have-the-vault",
    "sure",
    is_flag=True,
    help="There is a backup file or sheet with the keys, though this program knows of none.",
)
@access_options
@json_option
def custody(access: Access, choice: str | None, sure: bool, as_json: bool) -> None:
    """Show or choose who keeps your sealed keys: the server too (cautious), or only you."""
    from e2email_client.custody import AFTER_PARANOID, WHAT_IT_MEANS, move
    from e2email_crypto.vault import Custody

    if choice is None:
        now = access.unlock().vault.custody
        show({"custody": now.value}, f"{now.value}: {WHAT_IT_MEANS[now]}", as_json)
        return
    wanted, said = Custody(choice), ""
    with _changing(access) as (change, text):
        if wanted is Custody.PARANOID and not sure:
            _require_backup(change)
        if change.vault.custody is not wanted or wanted is Custody.PARANOID:
            move(change, wanted, text)
            said = f"\n{AFTER_PARANOID}" if wanted is Custody.PARANOID else ""
    show({"custody": wanted.value}, f"{wanted.value}: {WHAT_IT_MEANS[wanted]}{said}", as_json)


def _require_backup(change: Change) -> None:
    """Before the server's copy goes, another one must be known, with the keys of today."""
    from e2email_client import care
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    unlocked = change.unlocked
    with open_stores(unlocked) as stores:
        done = care.done(SharedState(unlocked, stores.state), care.Kind.BACKUP)
    words = care.recovery_name(change.vault.recovery)
    if done is None or done.vault < change.vault.counter or done.recovery != words:
        raise LocalFault(
            "In paranoid custody the server has no copy of your keys, and no backup of today's is "
            "known: run e2email-backup create FILE first, or say --yes-i-have-the-vault."
        )


@command.group("recovery", invoke_without_command=True, short_help="The recovery words.")
@click.pass_context
def recovery_group(ctx: click.Context) -> None:
    """The recovery words: show them again (the default), or make new ones."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(recovery_show)


_TO = click.option(
    "--recovery-file",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write them to FILE, which must not be there, in place of showing them.",
)


@recovery_group.command("show")
@_TO
@access_options
def recovery_show(access: Access, to: Path | None) -> None:
    """Show the recovery words again; needs the passphrase."""
    from e2email_client.account_key import recovery_in_force
    from e2email_crypto import recovery

    with _changing(access) as (change, _):
        secret = recovery_in_force(change)
    if secret is None:
        raise LocalFault("This account has no recovery words: e2email account recovery new.")
    words = recovery.to_words(secret)
    if to is not None:
        write_words(to, words)
        say(f"The words are in {to}.")
    else:
        show_again(words)


@recovery_group.command("new")
@_TO
@access_options
def recovery_new(access: Access, to: Path | None) -> None:
    """Make new recovery words; the old ones, and shares and sheets of them, open nothing more."""
    from e2email_client.account_key import new_recovery
    from e2email_crypto import recovery

    if to is None and not at_terminal():
        raise click.UsageError("There is no terminal to show the words at: --recovery-file FILE.")
    secret = recovery.generate()
    words = recovery.to_words(secret)
    with _changing(access) as (change, _):
        # before they are in force: whoever stops here has old words that hold
        if to is not None:
            write_words(to, words)
        else:
            show_words(words)
        now = int(time.time())
        changed = new_recovery(change, secret, now)
        if to is None and changed.device is not None:
            _on_paper(changed, now)
    say(
        "The new words are in force. Old sheets and shares open this account no more: destroy "
        "them. Backup files made before still open with the old words: make a new one."
    )


def _on_paper(change: Change, now: int) -> None:
    """Two of the words were typed back: a reminder to put them on paper would be wrong."""
    from e2email_client import care
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    with open_stores(change.unlocked) as stores:
        care.record(SharedState(change.unlocked, stores.state), care.Kind.PAPER, change.vault, now)


@command.command("accept-override", short_help="Accept a key that the administrator put in place.")
@click.argument("digest")
@access_options
@json_option
def accept_override(access: Access, digest: str, as_json: bool) -> None:
    """Accept the entry DIGEST of the key history, which nobody signed, as your own doing.

    Only if you had the server's administrator replace your account and set it up anew on another
    machine: this one then gets the new account, with its passphrase. Contacts who knew you before
    are told that your key changed, whatever you say here.
    """
    from e2email_client import config, joining
    from e2email_client.account import Wish
    from e2email_client.unlock import known_server

    try:
        entry = bytes.fromhex(digest)
    except ValueError:
        raise click.UsageError("DIGEST has 64 digits, as the alarm gave it.") from None
    paths = access.paths()
    settings = config.load(paths)
    server = known_server(paths, settings)
    text = access.source.existing(settings.address)
    wish = Wish(access.home, settings.address, server, None, text, access.keyring())
    _, old = joining.accept_override(wish, entry, int(time.time()))
    show(
        {"accepted": digest, "old": str(old)},
        f"The account that replaced the old one is set up here.\nThe files of the old one are in "
        f"{old}; remove them when nothing in them is missed.",
        as_json,
    )


@command.command("autoconfig", short_help="What mail programs find by the address.")
@click.argument("choice", type=click.Choice(messages.AUTOCONFIG), required=False)
@access_options
@json_option
def autoconfig(access: Access, choice: str | None, as_json: bool) -> None:
    """Show or choose what a mail program is told that looks this address up.

    proxy: to read its mail through e2email-proxy; sealed: from the server, encrypted; none:
    nothing. Anybody who knows the address can ask, and learns that choice.
    """
    from e2email_client.api import AccountApi

    unlocked = access.unlock()
    api = AccountApi(unlocked.server)
    if choice is not None:
        wish = messages.Autoconfig(choice)
        api.call("PUT", "/v1/autoconfig", messages.Nothing, wish, unlocked.login)
    found = api.call("GET", "/v1/autoconfig", messages.Autoconfig, login=unlocked.login).choice
    show({"autoconfig": found}, f"Mail programs are told: {_MEANING[found]} ({found})", as_json)
