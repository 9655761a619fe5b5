"""`e2email-proxy run`: serve opened mail until stopped."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import click

from e2email_client.cli._options import json_option
from e2email_client.console import say
from e2email_client.proxy_cli._options import Accounts, accounts_options, config_of, name_failed
from e2email_client.proxy_cli.settings import as_text

if TYPE_CHECKING:
    from e2email_client.proxy.config import Config
    from e2email_client.unlock import Unlocked


@click.command("run", short_help="Serve opened mail until stopped.")
@click.option(
    "--ports",
    metavar="PORTS",
    help="auto: any that are free; or imap=2143,pop3=off and the others as usual.",
)
@click.option(
    "--bind", metavar="ADDRESS", multiple=True, help="Listen there; repeatable (default: loopback)."
)
@click.option("--allow-remote", is_flag=True, help="Let --bind name more than loopback.")
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="Under which name or address other machines reach this one; repeatable.",
)
@click.option(
    "--log",
    "level",
    type=click.Choice(["debug", "info", "warning"]),
    default="warning",
    show_default=True,
    help="What is said on standard error; never anything of a mail.",
)
@accounts_options
@json_option
def command(
    accounts: Accounts,
    ports: str | None,
    bind: tuple[str, ...],
    allow_remote: bool,
    names: tuple[str, ...],
    level: str,
    as_json: bool,
) -> None:
    """Serve opened mail on this machine until Ctrl-C, and keep it in step with the server.

    All accounts of this machine, each under its address; one that cannot be opened is named, and
    the others run. Settings that stay the same belong into proxy.toml (docs/specs/proxy.md).
    """
    from e2email_client.log import report_unhandled, start_logging
    from e2email_client.proxy.notify import notify
    from e2email_client.proxy.run import running, stop_at_signals

    config = config_of(
        accounts.home, ports=ports, bind=bind, allow_remote=allow_remote, names=names
    ).checked()
    start_logging(level)
    unlocked = accounts.unlock()
    _certify(unlocked, config)

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(report_unhandled)
        stop = stop_at_signals()
        async with running(unlocked, config, name_failed) as shown:
            for number, one in enumerate(shown):
                # what is no terminal may be a journal that keeps it
                said = as_text(one, secret=sys.stdout.isatty())
                between = "\n" if number and not as_json else ""
                click.echo(between + (json.dumps(one.as_json()) if as_json else said))
            notify("READY=1")
            await stop.wait()
            notify("STOPPING=1")

    asyncio.run(serve())


def _certify(unlocked: list[Unlocked], config: Config) -> None:
    """Ask before programs have to be told to trust a new certificate. Uncovered without a terminal.

    Here, since nothing may be asked while something runs.
    """
    if not config.certified:
        return
    from e2email_client.proxy.secrets import Uncovered
    from e2email_client.proxy_cli.certificate import obtained

    try:
        obtained(unlocked, config.certified)
    except Uncovered as fault:
        if not sys.stdin.isatty():
            raise
        say(
            "The proxy's certificate will be made anew, for localhost and "
            f"{', '.join(fault.names)}. Every program must then be told to trust it again.",
            err=True,
        )
        click.confirm("Make it?", abort=True, err=True)
        obtained(unlocked, fault.names, renew=True)
