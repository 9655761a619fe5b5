"""The whole HTTPS application, of the parts of a server."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp

from e2email_protocol.account import ServerInfo
from e2email_server.accounts import Accounts
from e2email_server.api import directory, records, wkd
from e2email_server.api.app import build
from e2email_server.clock import Clock
from e2email_server.logins import Logins
from e2email_server.published import Published
from e2email_server.recipients import Recipients
from e2email_server.store.api import Store


def application(
    store: Store,
    accounts: Accounts,
    logins: Logins,
    recipients: Recipients,
    memory: records.Budget,
    info: ServerInfo,
    clock: Clock,
    ticks: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """`memory` for bodies that are taken in; `recipients` know today's domains and aliases."""
    published = Published(store, recipients)
    lookups = directory.KeyDirectory(published, store, logins, directory.Pace(ticks))
    keys = wkd.WebKeys(published, store, lambda: recipients.config)
    more = {
        **records.resources(records.Records(store, logins, memory, clock)),
        **directory.resources(lookups),
        **wkd.resources(keys),
    }
    return build(accounts, logins, store, info, lambda: recipients.config.domains, more)
