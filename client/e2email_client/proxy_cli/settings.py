"""`e2email-proxy settings`: what to enter in a mail program."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from e2email_client.cli._options import json_option
from e2email_client.failure import LocalFault, NotSetUp
from e2email_client.proxy.programs import PROGRAMS
from e2email_client.proxy_cli._options import Accounts, accounts_options, config_of

if TYPE_CHECKING:
    from e2email_client.proxy.shown import Shown


@click.command("settings", short_help="What to enter in a mail program.")
@click.option(
    "--for",
    "program",
    type=click.Choice(sorted(PROGRAMS)),
    help="As a piece of this program's own settings.",
)
@accounts_options
@json_option
def command(accounts: Accounts, program: str | None, as_json: bool) -> None:
    """Show host, ports, user name, password and certificate for a mail program.

    Ports are those of the last run.
    """
    from e2email_client.proxy.shown import last_ports, shown
    from e2email_client.proxy_cli.certificate import obtained

    if program and as_json:
        raise click.UsageError("Give --for or --json, not both.")
    config = config_of(accounts.home)
    if program and len(paths := accounts.paths()) > 1:
        # two of them in one file: most programs take the last and say nothing
        raise NotSetUp(
            f"There are {len(paths)} accounts on this machine; say with --account for which one."
        )
    unlocked = accounts.unlock()
    found = obtained(unlocked, ())
    for number, (one, password) in enumerate(zip(unlocked, found.passwords, strict=True)):
        ports = last_ports(one.paths, config)
        told = shown(one, password, found.certificate, ports, config)
        if as_json:
            click.echo(json.dumps(told.as_json()))
        else:
            between = "\n" if number else ""
            click.echo(between + (_for(program, told) if program else as_text(told)))


def _for(program: str, shown: Shown) -> str:
    """LocalFault where the proxy does not offer what these settings use."""
    used = "pop3s" if program == "mpop" else "imaps"
    port = getattr(shown.ports, used)
    if port is None:
        raise LocalFault(f"The settings for {program} use {used}, which is switched off.")
    if not port:
        raise LocalFault("The ports are chosen when the proxy starts; run it first.")
    return PROGRAMS[program](shown)


def as_text(shown: Shown, *, secret: bool = True) -> str:
    """`secret`: with the password."""
    ports = shown.ports
    if not shown.password:
        password = "one that e2email app-password new gives"  # noqa: S105  # where to get it
    elif secret:
        password = f"{shown.password}   (normal password; for this machine only)"
    else:
        password = "e2email-proxy settings shows it"  # noqa: S105  # as above
    return (
        f"IMAP   {shown.host}, {_ports(ports.imap, ports.imaps)}\n"
        f"POP3   {shown.host}, {_ports(ports.pop3, ports.pop3s)}\n"
        f"User name    {shown.address}\n"
        f"Password     {password}\n"
        f"Certificate  {shown.certificate}\n"
        f"SHA-256      {shown.compared}"
    )


def _ports(starttls: int | None, implicit: int | None) -> str:
    offered = [(starttls, "STARTTLS"), (implicit, "SSL/TLS")]
    said = " or ".join(f"{port} ({how})" for port, how in offered if port is not None)
    return f"port {said}" if said else "switched off"
