"""What an unlocked account trusts when it opens mail."""

from dataclasses import replace

import pytest
from sqlcipher3 import dbapi2

from e2email_client.failure import LocalFault
from e2email_client.stores import open_opening, open_stores
from support.machine import Machine


def test_the_pinned_key_and_its_verified_successor_sign_mail(machine: Machine) -> None:
    successor = bytes(range(32))
    settings = replace(machine.unlocked.settings, arrival_key=successor.hex())
    opening = open_opening(replace(machine.unlocked, settings=settings), workers=1)
    try:
        assert set(opening._keys.signers) == {machine.unlocked.vault.arrival_key, successor}
    finally:
        opening.close()


def test_a_full_disk_is_a_sentence_whoever_meets_it(machine: Machine) -> None:
    with pytest.raises(LocalFault, match="disk is full"), open_stores(machine.unlocked):
        raise dbapi2.OperationalError("database or disk is full")
