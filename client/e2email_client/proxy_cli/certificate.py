"""`e2email-proxy certificate`: the authority that programs are told to trust."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2email_client.cli._options import json_option, show
from e2email_client.failure import Alarm, LocalFault
from e2email_client.files import read_private, write_private
from e2email_client.proxy_cli._options import Accounts, accounts_options, config_of

if TYPE_CHECKING:
    from e2email_client.proxy.secrets import ProxySecrets
    from e2email_client.unlock import Unlocked


@click.command("certificate", short_help="The certificate that programs are told to trust.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Write it to this file (PEM)."
)
@click.option(
    "--renew", is_flag=True, help="Make a new one; a proxy that runs has to be restarted."
)
@click.option(
    "--name",
    "names",
    metavar="HOST",
    multiple=True,
    help="With --renew: also for this name or address of this machine; repeatable.",
)
@accounts_options
@json_option
def command(
    accounts: Accounts, out: Path | None, renew: bool, names: tuple[str, ...], as_json: bool
) -> None:
    """Show the proxy's certificate authority: as PEM, and what to compare it by.

    It can sign nothing any more, and is limited to this machine's names.
    """
    from e2email_client.proxy.tls import describe, with_colons

    if names and not renew:
        raise click.UsageError("--name is for --renew.")
    authority = _renewed(accounts, names) if renew else _known(accounts)
    try:
        found = describe(authority)
    except ValueError:
        raise Alarm(
            "The proxy's certificate is damaged; e2email-proxy settings restores it."
        ) from None
    if out is not None:
        write_private(out.absolute(), authority)
    pem = authority.decode("ascii")
    show(
        {
            "pem": pem,
            "fingerprint": found.fingerprint,
            "not_before": int(found.begins.timestamp()),
            "not_after": int(found.ends.timestamp()),
        },
        ("" if out else pem)
        + f"SHA-256   {with_colons(found.fingerprint)}\n"
        + f"Valid     {found.begins:%Y-%m-%d} to {found.ends:%Y-%m-%d}",
        as_json,
    )


def _known(accounts: Accounts) -> bytes:
    """What programs read, of the first account that has it: it is no secret."""
    from e2email_client.proxy.shown import ca_path

    paths = accounts.paths()
    written = sorted({read_private(ca_path(one)) for one in paths if ca_path(one).exists()})
    if len(written) > 1:
        raise LocalFault(
            "These accounts have not run in one proxy yet and have certificates of their own; "
            "say which with --account."
        )
    return written[0] if written else obtained(accounts.unlock(), ()).certificate.authority


def _renewed(accounts: Accounts, names: Sequence[str]) -> bytes:
    from e2email_client.proxy.unlocking import chosen

    config = config_of(accounts.home, names=names)
    unlocked = accounts.unlock()
    if len(unlocked) < len(chosen(accounts.home, [])):
        # those that keep the old one would bring it back
        raise LocalFault("The certificate is the machine's: all its accounts have to be opened.")
    return obtained(unlocked, config.certified, renew=True).certificate.authority


def obtained(
    unlocked: Sequence[Unlocked], names: Sequence[str], *, renew: bool = False
) -> ProxySecrets:
    """The certificate and general passwords, written where programs read them. Uncovered."""
    from e2email_client.proxy import secrets
    from e2email_client.proxy.passwords import passwords
    from e2email_client.proxy.shown import ca_path
    from e2email_client.stores import open_stores

    with ExitStack() as stack:
        stores = [stack.enter_context(open_stores(one)) for one in unlocked]
        known = [passwords(one, at.state) for one, at in zip(unlocked, stores, strict=True)]
        found = secrets.obtain(known, dt.datetime.now(dt.UTC), names, renew=renew)
    for one in unlocked:
        write_private(ca_path(one.paths), found.certificate.authority)
    return found
