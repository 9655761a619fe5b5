"""`e2email device`: the machines of this account; a further one by pairing; giving one up."""

from __future__ import annotations

import datetime as dt
import platform
import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._change import changing
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import ClientError, LocalFault

if TYPE_CHECKING:
    from e2email_client.changing import Change
    from e2email_client.devices import Device
    from e2email_client.shared_state import SharedState

THIEF = (
    "What was fetched to that machine before can still be read there by whoever opens it, and its "
    "copies of your keys stay copies. If it may be in other hands:\n"
    "  e2email account passphrase   (if the passphrase may be known)\n"
    "  e2email account rekey\n"
    "  e2email key rotate\n"
    "  e2email reseal"
)


@click.group("device", short_help="The machines of this account.")
def command() -> None:
    """The machines of this account: list them, add one, give one up."""


@command.command("list")
@access_options
@json_option
def list_command(access: Access, as_json: bool) -> None:
    """Show the machines: name, since when, last used (a day, UTC), which one this is, and what each
    signs with."""
    with changing(access) as change:
        found = _every(change)
    rows = [_row(one) for one in found]
    widest = max((len(clean.line(one.name)) for one in found), default=0)
    said = "\n".join(_line(one, widest) for one in found) or "There is none."
    show({"devices": rows}, said, as_json)


def _every(change: Change) -> list[Device]:
    from e2email_client import devices
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores

    tokens = devices.fetch_tokens(change.api, change.login)
    noted: dict[str, Any] = {}
    own = change.device.key.key_id if change.device and change.device.key else None
    if change.device is not None:
        with open_stores(change.unlocked) as stores:
            state = SharedState(change.unlocked, stores.state)
            _synced(state, change)
            noted = state.get(devices.DEVICES)
    return devices.every(tokens, change.statement, noted, own)


def _synced(state: SharedState, change: Change) -> None:
    """Names that other machines noted; without them there are names of logins."""
    with suppress(ClientError):
        state.sync(change.api, change.login)


def _row(one: Device) -> dict[str, Any]:
    return {
        "name": one.name,
        "key": one.key,
        "login": one.token_id is not None,
        "since": one.since,
        "used": _day(one.used).isoformat() if one.used else None,
        "this": one.this,
    }


def _day(number: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(number)


def _line(one: Device, widest: int) -> str:
    said = [f"{clean.line(one.name):<{widest}}"]
    if one.since is not None:
        said.append(f"since {dt.datetime.fromtimestamp(one.since).astimezone():%Y-%m-%d}")
    if one.token_id is not None:
        said.append(f"last used {_day(one.used)}" if one.used else "never used")
    said.append(f"key {one.key}" if one.key else "key not known by name")
    if one.token_id is None:
        said.append("cannot log in")
    if one.this:
        said.append("this machine")
    return "   ".join(said)


@command.command("pair", short_help="Set up another machine without typing the passphrase there.")
@click.argument("name")
@access_options
@json_option
def pair(access: Access, name: str, as_json: bool) -> None:
    """Show twelve words with which a new machine, to be called NAME, gets this account.

    They are good once, and for ten minutes. Type them there, or scan the code.
    """
    from e2email_client import devices, pairing
    from e2email_client.shared_state import SharedState
    from e2email_client.stores import open_stores
    from e2email_crypto import pairing as message

    if not 0 < len(name) <= devices.NAME_MAX or not name.isprintable():
        raise LocalFault(f"A name has 1 to {devices.NAME_MAX} letters.")
    now = int(time.time())
    with changing(access) as begun:
        old = (platform.node() or "a machine")[: devices.NAME_MAX]
        change, offer = pairing.offer(begun, old, name, now)
        if change.device is not None:
            with open_stores(change.unlocked) as stores:
                state = SharedState(change.unlocked, stores.state)
                devices.note(state, offer.public, name, offer.token_id, now)
                _synced(state, change)  # the new machine shall find its name
    words = message.to_words(offer.code)
    settings = change.settings
    said = " ".join(("e2email setup", settings.address, *settings.options, "--pair"))
    show(
        {"name": name, "words": list(words), "expires": offer.expires, "command": said},
        _shown(words, said, name, settings.own_ca),
        as_json,
    )


def _shown(words: tuple[str, ...], said: str, name: str, own_ca: bool) -> str:
    """A screenful: the command first, the words beside their code last."""
    from e2email_client import secret_screen

    screen = "\n".join(secret_screen.page("", words, " ".join(words).upper()))
    file = " FILE is the server's ca.crt." if own_ca else ""
    return (
        f"On the new machine, within ten minutes:\n  {said}\nand type these words.{file} "
        f"If that did not happen: e2email device revoke {shlex.quote(clean.line(name))}\n{screen}"
    )


@command.command("revoke", short_help="Give a machine up.")
@click.argument("which", metavar="NAME|KEY")
@access_options
@json_option
def revoke(access: Access, which: str, as_json: bool) -> None:
    """Take a machine's login and stop vouching for what it signs; say what remains to be done."""
    from e2email_client import devices

    with changing(access) as change:
        gone = devices.choose(_every(change), which)
        devices.give_up(change, gone, int(time.time()))
    unknown = [one for one in gone if one.key is None]
    hint = (
        "\nWhich key it signed with was never noted: see device list for keys without a login.\n"
        if unknown
        else "\n"
    )
    show(
        {"revoked": [_row(one) for one in gone]},
        f"{clean.line(which)} cannot log in any more, and nothing that it signs from now on is "
        f"believed.{hint}{THIEF}",
        as_json,
    )
