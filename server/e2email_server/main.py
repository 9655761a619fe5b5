"""e2email-server: the command line. Knows options and exit codes; the work is elsewhere.

Heavy libraries are imported by the command that needs them, so that --help is quick.
"""

import sys
from pathlib import Path
from typing import Any

import click

from e2email_server.config_values import ConfigError, domain

CONFIG_OPTION = click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("server.toml"),
    show_default=True,
    help="The settings file.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(
    package_name="e2email", prog_name="e2email-server", message="%(prog)s %(version)s"
)
def cli() -> None:
    """A mail server that seals what it receives and cannot open it."""


@cli.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where server.toml and data/ are made. Default: here.",
)
@click.option("--domain", "domain_name", default="example.test", show_default=True)
@click.option("--hostname", help="The server's name in DNS. Default: mail.<domain>.")
@click.option("--loopback", is_flag=True, help="Listen on 127.0.0.1 only, on ports chosen freely.")
def init(folder: Path, domain_name: str, hostname: str | None, loopback: bool) -> None:
    """Make a settings file, keys and a certificate."""
    from e2email_server import setup

    name = _checked(domain_name)
    made = setup.make(folder, name, _checked(hostname or f"mail.{name}"), loopback=loopback)
    click.echo(f"Made {made} and {made.parent / setup.DATA}.")
    click.echo(f"Next: e2email-server run -c {made}")


def _checked(name: str) -> str:
    try:
        return domain(name)
    except ValueError as error:
        raise ConfigError(str(error)) from None


@cli.command()
@CONFIG_OPTION
@click.option("--ready-fd", type=int, help="Write the chosen ports here as JSON once all listen.")
@click.option(
    "--ports-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The same into a file.",
)
def run(path: Path, ready_fd: int | None, ports_file: Path | None) -> None:
    """Serve until SIGTERM. SIGHUP reads domains, aliases and certificates again."""
    import asyncio

    from e2email_server import config, log
    from e2email_server.hardening import allow_descriptors
    from e2email_server.heap import keep_freed

    settings = config.load(path.absolute())
    log.set_up(settings.log_level)
    allow_descriptors()
    keep_freed()
    from e2email_server.run import announcer, serve

    asyncio.run(serve(settings, announcer(ports_file, ready_fd)))


@cli.command(short_help="Print a token to register ADDRESS with.")
@CONFIG_OPTION
@click.option(
    "--replace",
    is_flag=True,
    help="ADDRESS has an account whose owner lost everything: give it new keys. Its old mail "
    "stays unreadable, and everybody who knew the old keys is told.",
)
@click.argument("address")
def invite(path: Path, address: str, replace: bool) -> None:
    """Print a token, once, with which ADDRESS can register within a week."""
    from e2email_server import config

    settings = config.load(path.absolute())
    wanted = _address(address)
    if wanted.rpartition("@")[2] not in settings.domains:
        raise ConfigError(f"{settings.path}: domains: mail for {wanted} is not ours")
    click.echo(_ask(settings, "invite", address=wanted, replace=replace)["invite"])


def _address(text: str) -> str:
    from e2email_server.config_values import address

    try:
        return address(text)
    except ValueError as error:
        raise ConfigError(str(error)) from None


@cli.group()
def user() -> None:
    """Accounts."""


@user.command("list")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="One JSON array.")
def user_list(path: Path, as_json: bool) -> None:
    """All accounts, the oldest first."""
    import json

    from e2email_server import config

    users = _ask(config.load(path.absolute()), "users")["users"]
    if as_json:
        click.echo(json.dumps(users))
        return
    for one in users:
        state = "enabled" if one["enabled"] else "disabled"
        click.echo(f"{one['address']}  {one['policy']}  {state}  since {one['created']}")


@user.command("show")
@CONFIG_OPTION
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.argument("address")
def user_show(path: Path, address: str, as_json: bool) -> None:
    """Keys in use, key history, custody, devices of one account; nothing secret."""
    import json

    from e2email_server import config

    found = _ask(config.load(path.absolute()), "user", address=_address(address))["user"]
    if as_json:
        click.echo(json.dumps(found))
        return
    from e2email_server.standing import lines

    click.echo("\n".join(lines(found)))


def _ask(settings: Any, command: str, **arguments: str | bool) -> Any:
    """The running server's answer, or our own where none runs."""
    from e2email_server.admin import NotRunning, ask

    try:
        return ask(settings.data, command, **arguments)
    except NotRunning:
        return _answer_ourselves(settings, command, arguments)


def _answer_ourselves(settings: Any, command: str, arguments: dict[str, str | bool]) -> Any:
    import asyncio
    from contextlib import AsyncExitStack

    from e2email_server.commands import commands
    from e2email_server.parts import open_parts

    async def answer() -> Any:
        async with AsyncExitStack() as stack:
            parts = await open_parts(settings, stack)
            known = commands(parts.accounts, parts.store, parts.standing)
            return await known[command](arguments)

    return asyncio.run(answer())


def main() -> None:
    """The console script: one sentence for what the operator can mend, and exit code 1."""
    if sys.platform == "win32":
        sys.exit("e2email-server runs on Linux and macOS, not on Windows.")
    from e2email_server.hardening import harden

    harden()
    try:
        cli()
    except OSError as error:
        if error.filename is None:
            raise
        sys.exit(f"e2email-server: {error.filename}: {error.strerror}")
    except Exception as error:
        if not _for_operators(error):
            raise
        sys.exit(f"e2email-server: {error}")


def _for_operators(error: Exception) -> bool:
    """Whether its text is one sentence about something outside the program."""
    if isinstance(error, ConfigError):
        return True
    from e2email_server.admin import AdminError
    from e2email_server.store.errors import StoreError

    return isinstance(error, AdminError | StoreError)
