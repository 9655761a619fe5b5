"""The program `e2email-proxy`."""

import asyncio
import json
from typing import TYPE_CHECKING, Never

import click

from e2email_client.cli._options import Access, access_options, json_option
from e2email_client.entry import run, version_option
from e2email_client.hardening import harden

if TYPE_CHECKING:
    from e2email_client.proxy.run import Shown


@click.group()
@version_option
def e2email_proxy() -> None:
    """Your opened mail on this machine, for Thunderbird, mutt and any other mail program."""


@e2email_proxy.command("run", short_help="Serve opened mail until stopped.")
@click.option(
    "--ports",
    type=click.Choice(["usual", "auto"]),
    default="usual",
    show_default=True,
    help="usual: 1143, 1993, 1110, 1995; auto: any that are free.",
)
@click.option("--log", "level", type=click.Choice(["debug", "info", "warning"]), default="warning")
@access_options
@json_option
def run_command(access: Access, ports: str, level: str, as_json: bool) -> None:
    """Serve opened mail on this machine until Ctrl-C, and keep it in step with the server."""
    from e2email_client.log import report_unhandled, start_logging
    from e2email_client.proxy.ports import AUTO, Ports
    from e2email_client.proxy.run import running, until_stopped

    start_logging(level)
    unlocked = access.unlock()

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(report_unhandled)
        async with running(unlocked, AUTO if ports == "auto" else Ports()) as shown:
            _print(shown, as_json)
            await until_stopped()

    asyncio.run(serve())


@e2email_proxy.command("settings", short_help="What to enter in a mail program.")
@access_options
@json_option
def settings_command(access: Access, as_json: bool) -> None:
    """Show host, ports, user name, password and certificate for a mail program."""
    from e2email_client.proxy.run import settings
    from e2email_client.stores import open_stores

    unlocked = access.unlock()
    with open_stores(unlocked) as stores:
        _print(settings(unlocked, stores), as_json)


def _print(shown: "Shown", as_json: bool) -> None:
    ports = shown.ports
    if as_json:
        answer = {
            "address": shown.address,
            "host": shown.host,
            "imap": ports.imap,
            "imaps": ports.imaps,
            "pop3": ports.pop3,
            "pop3s": ports.pop3s,
            "password": shown.password,
            "certificate": str(shown.certificate),
        }
        click.echo(json.dumps(answer))
        return
    click.echo(
        f"IMAP   {shown.host}, port {ports.imap} (STARTTLS) or {ports.imaps} (SSL/TLS)\n"
        f"POP3   {shown.host}, port {ports.pop3} (STARTTLS) or {ports.pop3s} (SSL/TLS)\n"
        f"User name    {shown.address}\n"
        f"Password     {shown.password}   (normal password; for this machine only)\n"
        f"Certificate  {shown.certificate}"
    )


def main() -> Never:
    harden()
    run("e2email-proxy", e2email_proxy)


if __name__ == "__main__":
    main()
