"""`e2email app-password`: one password for each mail program, revocable by itself."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from e2email_client import clean
from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_client.failure import LocalFault, NotThere
from e2email_protocol import account as messages

if TYPE_CHECKING:
    from e2email_client.api import AccountApi, Login
    from e2email_client.proxy.passwords import Passwords

sealed_option = click.option(
    "--sealed",
    is_flag=True,
    help="Of the server itself, where mail is encrypted; needs the passphrase.",
)


@click.group("app-password", short_help="One password for each mail program.")
def command() -> None:
    """Passwords for mail programs: of this machine's proxy, or with --sealed of the server."""


@command.command("new")
@click.argument("name")
@sealed_option
@click.option(
    "--scope",
    metavar="SCOPES",
    help="With --sealed: what it may do; of read,write,delete,send (default: all).",
)
@access_options
@json_option
def new(access: Access, name: str, sealed: bool, scope: str | None, as_json: bool) -> None:
    """Make a password for the program NAME, shown this once."""
    if sealed:
        made = _new_sealed(access, name, _scopes(scope))
    elif scope:
        raise click.UsageError("--scope is for --sealed.")
    else:
        with _proxys(access) as passwords:
            made = passwords.make(name, int(time.time()))
    where = "the server (mail is encrypted there)" if sealed else "the proxy on this machine"
    show(
        {"name": name, "sealed": sealed, "password": made},
        f"Password  {made}\nfor {clean.line(name)}, at {where}. It is not shown again.",
        as_json,
    )


@command.command("list")
@sealed_option
@access_options
@json_option
def list_command(access: Access, sealed: bool, as_json: bool) -> None:
    """Show names, since when, and when and by what they were used last."""
    if sealed:
        api, login = _afresh(access)
        rows = [_sealed_row(one) for one in _app_tokens(api, login)]
    else:
        with _proxys(access) as passwords:
            rows = [
                {
                    "name": one.name,
                    "created": one.created,
                    "used": one.used,
                    "program": one.program,
                }
                for one in passwords.every()
            ]
    widest = max((len(clean.line(row["name"])) for row in rows), default=0)
    said = "\n".join(_line(row, widest) for row in rows) or "There is none."
    show({"passwords": rows}, said, as_json)


@command.command("revoke")
@click.argument("name")
@sealed_option
@access_options
@json_option
def revoke(access: Access, name: str, sealed: bool, as_json: bool) -> None:
    """No login with it any more; connections that it opened are ended.

    `general` is the one that e2email-proxy settings shows; `new general` makes another.
    """
    if sealed:
        _revoke_sealed(access, name)
    else:
        with _proxys(access) as passwords:
            passwords.revoke(name)
    show({"name": name, "sealed": sealed}, f"{clean.line(name)} is revoked.", as_json)


@contextmanager
def _proxys(access: Access) -> Iterator[Passwords]:
    """Those of the proxy; the general one is there from the beginning."""
    from e2email_client.proxy.passwords import passwords
    from e2email_client.proxy.secrets import obtain
    from e2email_client.stores import open_stores

    unlocked = access.unlock()
    with open_stores(unlocked) as stores:
        known = passwords(unlocked, stores.state)
        obtain([known], dt.datetime.now(dt.UTC))
        yield known


def _afresh(access: Access) -> tuple[AccountApi, Login]:
    """The server, and a login that only the passphrase gives: a keyring's key does not do."""
    from e2email_client import config
    from e2email_client.api import AccountApi, Login
    from e2email_client.unlock import derive, known_server, passphrase_params

    paths = access.paths()
    settings = config.load(paths)
    passphrase = access.source.existing(settings.address)
    params = passphrase_params(paths, settings)
    auth = derive(passphrase, params, settings.address, settings.server_name).auth
    return AccountApi(known_server(paths, settings)), Login.afresh(settings.address, auth)


def _new_sealed(access: Access, name: str, scopes: tuple[str, ...]) -> str:
    if not 0 < len(name) <= messages.NAME_CAP or not name.isprintable():
        raise LocalFault(f"A name has 1 to {messages.NAME_CAP} letters.")
    api, login = _afresh(access)
    if any(one.name == name for one in _app_tokens(api, login)):
        raise LocalFault(f"There is a password named {name} already; revoke it first.")
    wish = messages.TokenRequest(messages.APP, name, scopes)
    return api.call("POST", "/v1/tokens", messages.NewToken, wish, login).token


def _revoke_sealed(access: Access, name: str) -> None:
    api, login = _afresh(access)
    found = [one for one in _app_tokens(api, login) if one.name == name]
    if not found:
        raise NotThere(f"There is no password named {name}; see app-password list --sealed.")
    for one in found:
        api.call("DELETE", f"/v1/tokens/{one.id}", messages.Nothing, login=login)


def _app_tokens(api: AccountApi, login: Login) -> list[messages.TokenInfo]:
    """Those of devices are not for mail programs, and are not touched here."""
    found = api.call("GET", "/v1/tokens", messages.Tokens, login=login).tokens
    return [one for one in found if one.kind == messages.APP]


def _scopes(text: str | None) -> tuple[str, ...]:
    if text is None:
        return messages.SCOPES
    wanted = {one.strip() for one in text.split(",")}
    if unknown := sorted(wanted - set(messages.SCOPES)):
        raise click.UsageError(f"{unknown[0]} is none of {','.join(messages.SCOPES)}.")
    return tuple(one for one in messages.SCOPES if one in wanted)


def _sealed_row(one: messages.TokenInfo) -> dict[str, Any]:
    return {"name": one.name, "created": one.created, "scopes": list(one.scopes)}


def _line(row: dict[str, Any], widest: int) -> str:
    def day(seconds: int) -> str:
        return f"{dt.datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"

    said = [f"{clean.line(row['name']):<{widest}}", f"since {day(row['created'])}"]
    if "scopes" in row:
        said.append("may " + ", ".join(row["scopes"]))
    elif row["used"] is None:
        said.append("never used")
    else:
        program = clean.line(row["program"])
        said.append(f"used {day(row['used'])}" + (f" by {program}" if program else ""))
    return "   ".join(said)
