"""`e2email setup`: a new account by invite, or an account that exists, on this machine."""

import platform
import re
import time
from pathlib import Path

import click

from e2email_client.cli._options import Access, json_option, place_options, show

_ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+", re.ASCII)


def _address(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if len(value) > 254 or _ADDRESS.fullmatch(value) is None:
        raise click.BadParameter("not a mail address")
    return value.lower()


def _invite(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """`-`: asked for, so that it stands in no list of processes while the passphrase is typed."""
    return click.prompt("Invite", type=str, err=True) if value == "-" else value


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
    "--device", metavar="NAME", help="What to call this machine (default: its host name)."
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
    device: str | None,
    least_memory: int | None,
    as_json: bool,
) -> None:
    """Set up ADDRESS on this machine.

    With --invite a new account is made, and its keys on this machine. Without, an account that
    exists is fetched from its server with its passphrase; doing so again fetches what changed.
    """
    from e2email_client.account import Wish, create
    from e2email_client.api import read_url
    from e2email_client.failure import LocalFault
    from e2email_client.files import read_private
    from e2email_client.joining import join
    from e2email_crypto.statement import Policy

    if invite is None and (name or policy):
        raise click.UsageError("--name and --policy are for a new account; give --invite.")
    if invite and least_memory:
        raise click.UsageError("--least-memory is for an account that exists.")
    authority = read_private(ca) if ca else None
    try:
        target = read_url(server, server_name, authority)
    except LocalFault as fault:
        raise click.UsageError(str(fault)) from None
    keyring = access.keyring()
    source = access.source
    passphrase = source.new(address) if invite else source.existing(address)
    machine = (device or platform.node() or "this machine")[:64]
    least = least_memory * 1024 if least_memory else None
    wish = Wish(access.home, address, target, machine, passphrase, keyring, least)
    now = int(time.time())
    done = (
        create(wish, invite, name or "", Policy(policy or "sealed"), now)
        if invite
        else join(wish, now)
    )
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
        f"Key fingerprint: {_grouped(done.fingerprint)}\n"
        f"Outer headers:   {done.policy.value}\n"
        f"Unlocked by:     {'keyring or passphrase' if keyring else 'passphrase'}",
        as_json,
    )


def _grouped(fingerprint: str) -> str:
    """In fours, as people compare it."""
    return " ".join(re.findall("....", fingerprint))
