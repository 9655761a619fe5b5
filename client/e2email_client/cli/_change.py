"""A change of the account, for commands: begun with the passphrase, which the server asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from e2email_client.cli._options import Access

if TYPE_CHECKING:
    from e2email_client.changing import Change


@contextmanager
def changing(access: Access) -> Iterator[Change]:
    """Raises what changing.begin does, NotSetUp, NoSecret."""
    from e2email_client import config
    from e2email_client.changing import begin
    from e2email_client.owner import Passphrase

    paths = access.paths()
    secret = Passphrase(access.source.existing(config.load(paths).address))
    with begin(paths, secret, access.keyring()) as change:
        yield change
