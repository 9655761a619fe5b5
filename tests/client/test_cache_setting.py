"""`cache_mib` in account.toml: bounded, and what Room goes by."""

from dataclasses import replace

import pytest

from e2email_client import config
from e2email_client.failure import LocalFault
from e2email_client.stores import open_room, open_stores
from support.machine import Machine


@pytest.mark.parametrize("value", [b"15", b"0", b"-1", b'"many"', b"4.5", b"true"])
def test_what_is_no_bound(machine: Machine, value: bytes) -> None:
    octets = machine.unlocked.settings.encode()
    bad = octets.replace(b"cache_mib = 4096", b"cache_mib = " + value)
    assert bad != octets
    with pytest.raises(LocalFault, match="cache_mib"):
        config.Settings.decode(bad, "x")


def test_it_is_gone_by(machine: Machine) -> None:
    settings = replace(machine.unlocked.settings, cache_mib=16)
    unlocked = replace(machine.unlocked, settings=settings)
    with open_stores(unlocked) as stores:
        assert open_room(unlocked, stores).most == 16 * 1024 * 1024
