"""What the listeners of one server share, and the order in which it is opened and closed."""

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from e2email_server import clock, config, datadir
from e2email_server.accounts import Accounts
from e2email_server.config import Config
from e2email_server.config_values import ConfigError
from e2email_server.imap.append import Appending
from e2email_server.imap.session import Backend
from e2email_server.imap.shared import SharedMailboxes
from e2email_server.logins import Logins
from e2email_server.pop3.session import Pop3Backend
from e2email_server.recipients import Recipients
from e2email_server.sealing.pool import Sealing
from e2email_server.smtp.budget import MemoryBudget, Share
from e2email_server.smtp.limits import Limits as SmtpLimits
from e2email_server.standing import Standing
from e2email_server.store.disk import FreeSpace
from e2email_server.store.rowmac import RowMacs
from e2email_server.store.sql import SqlStore, open_store
from e2email_server.throttle import Throttle
from e2email_server.tls import ServerTls

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Parts:
    """One of each; made by `open_parts`."""

    config: Config
    keys: datadir.Keys
    store: SqlStore
    tls: ServerTls
    logins: Logins
    accounts: Accounts
    recipients: Recipients
    standing: Standing
    sealing: Sealing
    memory: MemoryBudget
    uploads: Share
    imap: Backend
    pop3: Pop3Backend
    reloaded: asyncio.Event = field(default_factory=asyncio.Event)

    def reload(self) -> None:
        """Domains, aliases and certificates anew; a fault leaves everything as it was."""
        try:
            new = config.load(self.config.path)
            self.tls.reload(new)
        except ConfigError as error:
            log.error("settings not read again: %s", error)
            return
        self.recipients.config = new
        self.reloaded.set()
        log.info("domains, aliases and certificates read again")


async def open_parts(settings: Config, stack: AsyncExitStack) -> Parts:
    """Lock, keys, store and what stands on them; the stack closes them in reverse."""
    stack.enter_context(datadir.locked(settings.data))
    keys = datadir.load_keys(settings.data)
    limits = settings.limits
    space = FreeSpace(settings.data, limits.free_percent, limits.free_space)
    store = await open_store(settings.data, RowMacs(keys.mac), space)
    stack.push_async_callback(store.close)
    throttle = Throttle()
    logins = Logins(store, keys.token, throttle, clock.now)
    stack.callback(logins.close)
    sealing = Sealing(keys.arrival)
    stack.callback(sealing.close)
    memory = MemoryBudget(SmtpLimits.from_config(limits))
    recipients = Recipients(store, settings, clock.now)
    appending = Appending(store, sealing, keys.arrival, clock.now, limits.message_size)
    uploads = Share(memory, appending.literal_limit)
    return Parts(
        settings,
        keys,
        store,
        ServerTls(settings),
        logins,
        Accounts(store, logins, throttle, clock.now, recipients.owner),
        recipients,
        Standing(store, recipients.owner, clock.now),
        sealing,
        memory,
        uploads,
        Backend(store, logins, SharedMailboxes(store), appending, uploads),
        Pop3Backend(store, logins),
    )
