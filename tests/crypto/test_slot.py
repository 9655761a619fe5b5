"""Slots: every flipped octet, every cut, and what a failure says."""

import pytest

from e2email_crypto import _sodium, _wire, errors, slot
from e2email_crypto.kdf import Params

NAMES = ("alice@example.test", "mail.example.test")
KEY = slot.AccountKey(b"K" * 32)
WRAP = b"W" * 32
PARAMS = Params(3, 64 * 1024, b"S" * 16)
SLOT = slot.wrap(KEY, slot.SlotKind.PASSPHRASE, WRAP, *NAMES, PARAMS, generation=3)


def cause(data: bytes, secret: bytes = WRAP) -> type[Exception]:
    with pytest.raises(errors.SecretError) as caught:
        slot.unwrap(data, secret, *NAMES)
    return caught.type


def test_there_and_back() -> None:
    assert slot.unwrap(SLOT, WRAP, *NAMES) == KEY
    assert slot.inspect(SLOT, *NAMES) == slot.SlotHeader(slot.SlotKind.PASSPHRASE, 3, PARAMS)
    assert slot.unwrap(SLOT, WRAP, "Alice@Example.Test", "MAIL.example.test") == KEY


def test_every_flipped_bit_is_an_accident_and_said_to_be_one() -> None:
    for at in range(len(SLOT)):
        for bit in range(8):
            flipped = SLOT[:at] + bytes([SLOT[at] ^ 1 << bit]) + SLOT[at + 1 :]
            assert cause(flipped) is (errors.UnknownVersion if at == 9 else errors.Damaged)


def test_every_octet_changed_on_purpose_is_refused() -> None:
    """The checksum made new, as whoever holds the slot can: now the other layers answer."""
    body = SLOT[:-8]
    seen = set()
    for at in range(len(body)):
        for value in {body[at] ^ 1, body[at] ^ 0x80, 0, 255} - {body[at]}:
            seen.add(cause(_wire.finish(body[:at] + bytes([value]) + body[at + 1 :])))
    assert seen == {
        errors.Damaged, errors.WrongSecret, errors.UnknownVersion,
        errors.OtherAccount, errors.KdfRefused,
    }  # fmt: skip


def test_every_cut_is_damage() -> None:
    for end in range(len(SLOT)):
        assert cause(SLOT[:end]) is errors.Damaged
    for end in range(10, len(SLOT) - 8):
        assert cause(_wire.finish(SLOT[:end])) in {errors.Damaged, errors.WrongSecret}


def test_a_wrong_secret_is_not_damage() -> None:
    assert cause(SLOT, b"X" * 32) is errors.WrongSecret


def test_a_wrong_secret_is_found_before_decryption(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a slot made to decrypt under two secrets would tell which one was tried."""
    monkeypatch.setattr(_sodium, "aead_open", lambda *_: pytest.fail("was decrypted"))
    assert cause(SLOT, b"X" * 32) is errors.WrongSecret


def test_a_failure_costs_no_key_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sodium, "argon2id", lambda *_: pytest.fail("argon2 ran"))
    for data in (SLOT[:-1], SLOT[:20], b""):
        with pytest.raises(errors.Damaged):
            slot.inspect(data, *NAMES)
    with pytest.raises(errors.OtherAccount):
        slot.inspect(SLOT, "bob@example.test", NAMES[1])


def test_the_names_decide_together_not_glued() -> None:
    glued = slot.wrap(KEY, slot.SlotKind.KEYRING, WRAP, "ab", "c", generation=1)
    with pytest.raises(errors.OtherAccount):
        slot.unwrap(glued, WRAP, "a", "bc")


def test_two_wrappings_share_nothing_but_the_names() -> None:
    again = slot.wrap(KEY, slot.SlotKind.KEYRING, WRAP, *NAMES, generation=1)
    assert again != slot.wrap(KEY, slot.SlotKind.KEYRING, WRAP, *NAMES, generation=1)
    assert slot.unwrap(again, WRAP, *NAMES) == KEY


def test_the_longest_names_stay_below_the_cap() -> None:
    data = slot.wrap(
        KEY, slot.SlotKind.PASSPHRASE, WRAP, "a" * 320, "b" * 320, PARAMS, generation=1
    )
    assert len(data) < slot.SLOT_MAX
    assert slot.unwrap(data, WRAP, "a" * 320, "b" * 320) == KEY


def test_an_old_slot_is_refused_by_whoever_saw_a_newer_one() -> None:
    for seen in (0, 2, 3):
        assert slot.unwrap(SLOT, WRAP, *NAMES, at_least=seen) == KEY
    with pytest.raises(errors.RolledBack) as caught:
        slot.unwrap(SLOT, WRAP, *NAMES, at_least=4)
    assert (caught.value.found, caught.value.seen) == (3, 4)
    # its number raised on purpose: no longer what was sealed
    raised = _wire.finish(SLOT[:11] + (4).to_bytes(8) + SLOT[19:-8])
    assert slot.inspect(raised, *NAMES).generation == 4
    assert cause(raised) is errors.Damaged


def test_a_recovery_slot_needs_no_parameters() -> None:
    data = slot.wrap(KEY, slot.SlotKind.RECOVERY, WRAP, *NAMES, generation=1)
    assert slot.inspect(data, *NAMES) == slot.SlotHeader(slot.SlotKind.RECOVERY, 1, None)
    assert slot.unwrap(data, WRAP, *NAMES) == KEY


def test_no_kind_of_slot_passes_for_another() -> None:
    recovery = slot.wrap(KEY, slot.SlotKind.RECOVERY, WRAP, *NAMES, generation=1)
    keyring = _wire.finish(recovery[:10] + bytes([slot.SlotKind.KEYRING]) + recovery[11:-8])
    assert cause(keyring) is errors.WrongSecret


def test_misuse_is_a_value_error() -> None:
    for generation in (0, -1, 2**63):
        with pytest.raises(ValueError, match="generation"):
            slot.wrap(KEY, slot.SlotKind.KEYRING, WRAP, *NAMES, generation=generation)
    for kind, params in [(slot.SlotKind.PASSPHRASE, None), (slot.SlotKind.KEYRING, PARAMS)]:
        with pytest.raises(ValueError, match="parameters"):
            slot.wrap(KEY, kind, WRAP, *NAMES, params, generation=1)
    with pytest.raises(ValueError, match="32 bytes"):
        slot.wrap(KEY, slot.SlotKind.KEYRING, b"short", *NAMES, generation=1)
    with pytest.raises(ValueError, match="32 bytes"):
        slot.AccountKey(b"short")


def test_an_account_key_tells_nothing_in_its_repr() -> None:
    assert repr(KEY) == "AccountKey()"
    assert slot.AccountKey.generate() != slot.AccountKey.generate()


def test_a_generation_nobody_proved_leaves_numbers_for_those_to_come() -> None:
    assert slot.generation_after(1) == 2
    assert slot.generation_after(slot.GENERATION_MAX) == 2**62 + 1
