"""`e2email setup`: a new account by invite, or one that exists, by one of its secrets."""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.backup_cli._options import recovery_options
from e2email_client.cli._options import Access, json_option, place_options, show
from e2email_client.cli._secret import secret_options
from e2email_client.cli._words import at_terminal, show_words, write_words
from e2email_client.console import say
from e2email_client.passphrase import Source
from e2email_client.recovery_words import RecoverySource

if TYPE_CHECKING:
    from e2email_client.account import Done, Wish
    from e2email_crypto.vault import Identity

# The header policy, for people.
_SEEN = {"sealed": "nothing but sizes and times", "baseline": "who wrote, and when"}
_ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+", re.ASCII)


def _address(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if len(value) > 254 or _ADDRESS.fullmatch(value) is None:
        raise click.BadParameter("not a mail address")
    return value.lower()


def _invite(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """`-`: asked for, so that it stands in no list of processes while the passphrase is typed."""
    return click.prompt("Invite", type=str, err=True) if value == "-" else value


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What `setup --invite` was told of the account to be made."""

    invite: str = field(repr=False)
    name: str
    policy: str
    words_to: Path | None
    unshown: bool  # the recovery words are not to be shown now
    key: Path | None
    key_source: Source


@click.command("setup", short_help="Set up an account on this machine.")
@click.argument("address", callback=_address)
@click.option("--server", required=True, metavar="URL", help="https://HOST or https://HOST:PORT.")
@click.option("--server-name", metavar="NAME", help="The server's name, where URL has another.")
@click.option(
    "--ca",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM file of the certificate authority to trust for this server, and no other.",
)
@click.option(
    "--invite",
    metavar="TOKEN",
    callback=_invite,
    help="Make a new account with this invite; - asks for it.",
)
@click.option("--name", help="Your name, as it stands in the new key.")
@click.option(
    "--policy",
    type=click.Choice(["sealed", "baseline"]),
    help="What the outer header of stored mail shows: nothing (the default), or who and when.",
)
@click.option(
    "--recovery-file",
    "words_to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the recovery words of a new account to FILE, which must not be there.",
)
@click.option(
    "--no-recovery",
    "unshown",
    is_flag=True,
    help="Do not show the recovery words now; e2email account recovery does later.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For a new account: your OpenPGP secret key, as gpg or Thunderbird exports it.",
)
@secret_options("key", "With --key: the passphrase of that file")
@click.option(
    "--recover",
    is_flag=True,
    help="The passphrase is forgotten or all machines are lost: by the recovery words.",
)
@recovery_options
@click.option("--pair", is_flag=True, help="By the twelve words of e2email device pair.")
@click.option("--pair-fd", type=int, metavar="N", help="Read the twelve words from descriptor N.")
@click.option(
    "--pair-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Read the twelve words from a file.",
)
@click.option(
    "--device",
    metavar="NAME",
    help="What to call this machine (default: its host name, with a number if that is taken).",
)
@click.option(
    "--least-memory",
    type=click.IntRange(64, 1024),
    metavar="MIB",
    help="For an account that was made with less memory for its passphrase than is usual.",
)
@place_options
@json_option
def command(
    access: Access,
    address: str,
    server: str,
    server_name: str | None,
    ca: Path | None,
    invite: str | None,
    name: str | None,
    policy: str | None,
    words_to: Path | None,
    unshown: bool,
    key: Path | None,
    key_source: Source,
    recover: bool,
    recovery: RecoverySource | None,
    pair: bool,
    pair_fd: int | None,
    pair_file: Path | None,
    device: str | None,
    least_memory: int | None,
    as_json: bool,
) -> None:
    """Set up ADDRESS on this machine.

    With --invite a new account is made, and its keys on this machine. Without, an account that
    exists comes here: with its passphrase, with --pair from a machine that has it, or with
    --recover by the recovery words (and a new passphrase). Doing so again fetches what changed.
    """
    from e2email_client.account import Wish
    from e2email_client.api import AccountApi, read_url
    from e2email_client.failure import LocalFault
    from e2email_client.files import read_private
    from e2email_protocol import account as messages

    recovery = recovery or (RecoverySource() if recover else None)
    paired = pair or pair_fd is not None or pair_file is not None
    if sum((invite is not None, recovery is not None, paired)) > 1:
        raise click.UsageError("Choose one of --invite, --recover and --pair.")
    if invite is None and (name or policy or words_to or unshown or key):
        raise click.UsageError(
            "--name, --policy, --recovery-file, --no-recovery and --key are for a new account; "
            "give --invite."
        )
    if invite and not (words_to or unshown or at_terminal()):
        raise click.UsageError(
            "There is no terminal to show the recovery words at: give --recovery-file FILE, or "
            "--no-recovery to see them later."
        )
    if invite and least_memory:
        raise click.UsageError("--least-memory is for an account that exists.")
    authority = read_private(ca) if ca else None
    try:
        target = read_url(server, server_name, authority)
    except LocalFault as fault:
        raise click.UsageError(str(fault)) from None
    machine = device[: messages.NAME_CAP] if device else None
    least = least_memory * 1024 if least_memory else None
    keyring = access.keyring()

    def wish(passphrase: str) -> Wish:
        return Wish(access.home, address, target, machine, passphrase, keyring, least)

    AccountApi(target).info()  # nobody types a passphrase twice for a server that is not there
    on_paper = False
    if invite is not None:
        new = NewAccount(invite, name or "", policy or "sealed", words_to, unshown, key, key_source)
        done, on_paper = _create(wish(access.source.new(address)), new)
    elif recovery is not None:
        done = _recover(access, address, recovery, wish)
    elif paired:
        done = _pair(wish(""), Source(pair_fd, pair_file))
    else:
        done = _join(wish(access.source.existing(address)))
    _note(done, on_paper=on_paper)
    show(
        {
            "address": address,
            "server": target.url,
            "server_name": target.name,
            "fingerprint": done.fingerprint,
            "policy": done.policy.value,
            "new": invite is not None,
            "keyring": keyring is not None,
        },
        f"{address} is set up on this machine.\n"
        f"Your key (its fingerprint): {_grouped(done.fingerprint)}\n"
        f"What your server can see of stored mail: {_SEEN[done.policy.value]}\n"
        f"Unlocked by: {'keyring or passphrase' if keyring else 'passphrase'}\n"
        "Next: e2email sync fetches your mail; e2email-proxy run hands it to mail programs.",
        as_json,
    )


def _note(done: "Done", *, on_paper: bool) -> None:
    from e2email_client import care, devices
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    now = int(time.time())
    devices.introduce(done, now)
    if on_paper:
        with open_stores(done.unlocked) as stores:
            state = SharedState(done.unlocked, stores.state)
            care.record(state, care.Kind.PAPER, done.unlocked.vault, now)


def _create(wish: "Wish", new: NewAccount) -> "tuple[Done, bool]":
    """The account, and whether its words are on paper."""
    from e2email_client.account import create
    from e2email_crypto import recovery
    from e2email_crypto.statement import Policy

    secret = recovery.generate()
    words = recovery.to_words(secret)
    identity = _imported(new.key, new.key_source, wish.address) if new.key else None
    if new.words_to:
        write_words(new.words_to, words)
    try:
        policy = Policy(new.policy)
        now = int(time.time())
        done = create(wish, new.invite, new.name, policy, now, secret=secret, identity=identity)
    except BaseException:
        if new.words_to:
            new.words_to.unlink(missing_ok=True)
        raise
    return done, not new.words_to and not new.unshown and _shown(words)


def _shown(words: Sequence[str]) -> bool:
    """The account is there already: who stops here has a machine that is set up."""
    try:
        show_words(words)
    except (click.Abort, KeyboardInterrupt):
        say("\nThe words are not on paper yet. To see them: e2email account recovery", err=True)
        return False
    return True


def _imported(path: Path, source: Source, address: str) -> "Identity":
    """A key from a file that mail can be sealed to. Its passphrase is asked for only where it has
    one."""
    from e2email_client import key_files, own_keys

    now = int(time.time())
    found = _unlocked(path, key_files.read(path), source, now)
    own_keys.require(found, address, now)
    return found


def _unlocked(path: Path, octets: bytes, source: Source, now: int) -> "Identity":
    from e2email_client import key_files
    from e2email_client.failure import NoSecret

    given = source.written() if source.given else None
    try:
        return key_files.identity(octets, given, now)
    except NoSecret:
        if source.given or not at_terminal():
            raise
    asked: str = click.prompt(f"Passphrase of {path}", hide_input=True, err=True)
    return key_files.identity(octets, asked, now)


def _join(wish: "Wish") -> "Done":
    from e2email_client.joining import join

    return join(wish, int(time.time()))


def _recover(
    access: Access, address: str, words: RecoverySource, wish: "Callable[[str], Wish]"
) -> "Done":
    from e2email_client.joining import recover

    secret = words.secret()
    return recover(wish(access.source.new(address)), secret, int(time.time()))


def _pair(wish: "Wish", source: Source) -> "Done":
    from e2email_client.joining import accept
    from e2email_client.recovery_words import pairing_code

    return accept(wish, pairing_code(source), int(time.time()))


def _grouped(fingerprint: str) -> str:
    """In fours, as people compare it."""
    return " ".join(re.findall("....", fingerprint))
