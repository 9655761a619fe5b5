"""Vault and state boxes: every flipped octet, rollback, what reprs tell."""

import os
from dataclasses import replace

import pytest

from e2email_crypto import _wire, errors, slot, vault
from e2email_crypto.statement import Policy

NAMES = ("alice@example.test", "mail.example.test")
KEY = slot.AccountKey(b"K" * 32)
VAULT = vault.Vault(
    counter=5,
    identities=(vault.Identity("AB" * 20, b"canary tsk", b"certificate", b"revocation"),),
    store_keys=vault.StoreKeys(b"\1" * 32, b"\2" * 32, b"\3" * 32),
    arrival_key=b"\4" * 32,
    policy=Policy.BASELINE,
    custody=vault.Custody.PARANOID,
    recovery=b"canary recovery.",
    recipients=(b"another device's certificate",),
    accepted=(b"\5" * 32,),
)
BOX = vault.seal_vault(VAULT, KEY, *NAMES)


def cause(data: bytes) -> type[Exception]:
    with pytest.raises(errors.SecretError) as caught:
        vault.open_vault(data, KEY, *NAMES)
    return caught.type


def test_there_and_back() -> None:
    assert vault.open_vault(BOX, KEY, *NAMES) == VAULT


def test_every_flipped_octet_is_an_accident_and_said_to_be_one() -> None:
    for at in range(len(BOX)):
        flipped = BOX[:at] + bytes([BOX[at] ^ 1]) + BOX[at + 1 :]
        assert cause(flipped) is (errors.UnknownVersion if at == 9 else errors.Damaged)


def test_every_flipped_octet_of_a_state_is_refused() -> None:
    state = vault.seal_state(b"contacts", 1, KEY, *NAMES)
    for at in range(len(state)):
        flipped = state[:at] + bytes([state[at] ^ 1]) + state[at + 1 :]
        forged = _wire.finish(flipped[:-8])
        expected = errors.UnknownVersion if at == 9 else errors.Damaged
        with pytest.raises(errors.SecretError) as caught:
            vault.open_state(flipped, KEY, *NAMES)
        assert caught.type is expected
        if at < len(state) - 8:
            with pytest.raises(errors.SecretError):
                vault.open_state(forged, KEY, *NAMES)


def test_every_octet_changed_on_purpose_is_refused() -> None:
    body = BOX[:-8]
    seen = {
        cause(_wire.finish(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))
        for at in range(len(body))
    }
    assert seen == {
        errors.Damaged, errors.WrongSecret, errors.UnknownVersion, errors.OtherAccount,
    }  # fmt: skip


def test_every_cut_is_refused() -> None:
    for end in range(len(BOX)):
        assert cause(BOX[:end]) is errors.Damaged
    for end in range(len(BOX) - 8):
        assert cause(_wire.finish(BOX[:end])) in {errors.Damaged, errors.WrongSecret}


def test_an_old_vault_is_known_by_its_counter() -> None:
    for seen in (0, 4, 5):
        assert vault.open_vault(BOX, KEY, *NAMES, at_least=seen) == VAULT
    with pytest.raises(errors.RolledBack) as caught:
        vault.open_vault(BOX, KEY, *NAMES, at_least=6)
    assert (caught.value.found, caught.value.seen) == (5, 6)
    state = vault.seal_state(b"contacts", 8, KEY, *NAMES)
    assert vault.open_state(state, KEY, *NAMES, at_least=8) == (b"contacts", 8)
    with pytest.raises(errors.RolledBack):
        vault.open_state(state, KEY, *NAMES, at_least=9)


def test_a_vault_is_called_old_only_when_it_is_authentic() -> None:
    """Else whoever holds an old box could make a device say anything about its age."""
    raised = _wire.finish(BOX[:10] + (2).to_bytes(8) + BOX[18:-8])
    with pytest.raises(errors.Damaged):
        vault.open_vault(raised, KEY, *NAMES, at_least=6)


def test_vault_and_state_do_not_pass_for_each_other() -> None:
    state = vault.seal_state(b"contacts", 1, KEY, *NAMES)
    assert vault.open_state(state, KEY, *NAMES) == (b"contacts", 1)
    assert cause(state) is errors.Damaged
    assert cause(_wire.finish(state[:8] + b"V\x02" + state[10:-8])) is errors.WrongSecret
    with pytest.raises(errors.Damaged):
        vault.open_state(BOX, KEY, *NAMES)


def test_wrong_key_and_other_account() -> None:
    with pytest.raises(errors.WrongSecret):
        vault.open_vault(BOX, slot.AccountKey(b"X" * 32), *NAMES)
    with pytest.raises(errors.OtherAccount):
        vault.open_vault(BOX, KEY, "bob@example.test", NAMES[1])


@pytest.mark.parametrize(
    "change",
    [
        {"identities": ()},
        {"arrival_key": b"short"},
        {"counter": 0},
        {"counter": 2**63},
        {"store_keys": vault.StoreKeys(b"", b"", b"")},
        {"identities": (vault.Identity("ab" * 20, b"", b"", b""),)},
        {"identities": VAULT.identities * 2},
        {"identities": tuple(replace(VAULT.identities[0], tsk=b"%d" % n) for n in range(101))},
        {"identities": (replace(VAULT.identities[0], tsk=bytes(vault.KEY_FILE_MAX + 1)),)},
        {"recovery": b"x" * 15},
        {"recovery": b""},
        {"recipients": tuple(b"%d" % n for n in range(17))},
        {"recipients": (b"same", b"same")},
        {"recipients": (bytes(vault.KEY_FILE_MAX + 1),)},
        {"accepted": (b"x" * 31,)},
        {"accepted": tuple(n.to_bytes(32) for n in range(1001))},
    ],
)
def test_what_could_not_be_opened_is_not_sealed(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        vault.seal_vault(replace(VAULT, **change), KEY, *NAMES)


def test_a_box_has_a_size() -> None:
    big = bytes(vault.KEY_FILE_MAX)
    fat = tuple(replace(VAULT.identities[0], tsk=big, revocation=b"%d" % n) for n in range(4))
    with pytest.raises(ValueError, match="too much"):
        vault.seal_vault(replace(VAULT, identities=fat), KEY, *NAMES)
    with pytest.raises(ValueError, match="too much"):
        vault.seal_state(bytes(vault.STATE_MAX), 1, KEY, *NAMES)
    assert cause(_wire.finish(BOX[:-8] + bytes(vault.VAULT_MAX))) is errors.Damaged


def test_no_secret_is_in_a_repr_or_an_error() -> None:
    assert "canary" not in repr(VAULT)
    assert repr(VAULT.store_keys) == "StoreKeys()"
    content = b'{"canary":'
    data = vault._seal(vault.Purpose.VAULT, content, 1, KEY, *NAMES)
    with pytest.raises(errors.Damaged) as caught:
        vault.open_vault(data, KEY, *NAMES)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_any_content_goes_there_and_back() -> None:
    for _ in range(20):
        keys = vault.StoreKeys(os.urandom(32), os.urandom(32), os.urandom(32))
        made = replace(VAULT, store_keys=keys, arrival_key=os.urandom(32))
        assert vault.open_vault(vault.seal_vault(made, KEY, *NAMES), KEY, *NAMES) == made


@pytest.mark.parametrize("counter", [0, 2**63, 2**64 - 1])
def test_a_counter_that_no_device_can_keep_is_damage(counter: int) -> None:
    header = _wire.head(b"T", 1) + counter.to_bytes(8) + _wire.pack(*map(_wire.name, NAMES))
    box = vault._box.seal(KEY.raw, b"e2email v1 state", header, b"contacts")
    with pytest.raises(errors.Damaged, match="counter"):
        vault.open_state(box, KEY, *NAMES)
