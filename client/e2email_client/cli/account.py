"""`e2email account`: what the server keeps of an account as its owner wants it."""

import click

from e2email_client.cli._options import Access, access_options, json_option, show
from e2email_protocol import account as messages

_MEANING = {
    "proxy": "the proxy on the user's own machine",
    "sealed": "the server, where mail is encrypted",
    "none": "nothing",
}


@click.group("account", short_help="How the server treats this account.")
def command() -> None:
    """How the server treats this account."""


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
