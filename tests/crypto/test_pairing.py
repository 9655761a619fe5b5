"""Pairing messages: for one account, two devices, one code and some minutes."""

from dataclasses import replace

import pytest

from e2email_crypto import _wire, errors, kdf, pairing, slot
from e2email_crypto.pairing import Gift, Pair

NOW = 1_780_000_000
CODE = bytes(range(16))
NAMES = ("alice@example.test", "mail.example.test")
PAIR = Pair(*NAMES, "Desk", "Laptop of Älice", NOW + pairing.LIFETIME)
PARAMS = kdf.Params(3, kdf.M_KIB_MIN, bytes(16))
SLOT = slot.wrap(
    slot.AccountKey(b"K" * 32), slot.SlotKind.PASSPHRASE, b"W" * 32, *NAMES, PARAMS, generation=2
)
GIFT = Gift(
    account_key=slot.AccountKey(b"K" * 32),
    vault=b"canary vault",
    slots=(SLOT,),
    sequence=3,
    head=b"\7" * 32,
    device_token="e2d_canary",
    device_seed=b"\x08" * 32,
    server_url="https://mail.example.test:8443",
    ca=b"canary certificate",
)
MESSAGE = pairing.seal(CODE, PAIR, GIFT)


def cause(message: bytes, code: bytes = CODE, now: int = NOW) -> type[Exception]:
    with pytest.raises(errors.SecretError) as caught:
        pairing.open(message, code, *NAMES, now)
    return caught.type


def test_there_and_back() -> None:
    assert pairing.open(MESSAGE, CODE, *NAMES, NOW) == (PAIR, GIFT)
    plain = replace(GIFT, ca=None, slots=())
    made = pairing.seal(CODE, PAIR, plain)
    assert pairing.open(made, CODE, *NAMES, PAIR.expires - 1) == (PAIR, plain)


def test_codes_are_twelve_words() -> None:
    code = pairing.new_code()
    assert code != pairing.new_code()
    typed = " ".join(pairing.to_words(code)).upper()
    assert len(typed.split()) == 12
    assert pairing.from_words(typed) == code


def test_the_id_is_no_part_of_the_key() -> None:
    assert len(pairing.message_id(CODE)) == 32
    assert pairing.message_id(CODE) != pairing.message_id(bytes(16))
    assert pairing.message_id(CODE) != pairing._key(CODE, PAIR)


def test_every_flipped_bit_is_an_accident_and_said_to_be_one() -> None:
    for at in range(len(MESSAGE)):
        bent = MESSAGE[:at] + bytes([MESSAGE[at] ^ 1]) + MESSAGE[at + 1 :]
        assert cause(bent) is (errors.UnknownVersion if at == 9 else errors.Damaged)


def test_every_octet_changed_on_purpose_is_refused() -> None:
    body = MESSAGE[:-8]
    seen = {
        cause(_wire.finish(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]))
        for at in range(len(body))
    }
    assert seen == {
        errors.Damaged, errors.WrongSecret, errors.UnknownVersion, errors.OtherAccount,
    }  # fmt: skip


def test_every_cut_and_what_stands_behind_is_refused() -> None:
    for end in range(len(MESSAGE)):
        assert cause(MESSAGE[:end]) is errors.Damaged
    assert cause(_wire.finish(MESSAGE[:-8] + b"\0")) is errors.Damaged
    assert cause(_wire.finish(MESSAGE[:-8] + bytes(pairing.MESSAGE_MAX))) is errors.Damaged


def test_another_code_and_another_account() -> None:
    assert cause(MESSAGE, bytes(16)) is errors.WrongSecret
    for names in (("bob@example.test", NAMES[1]), (NAMES[0], "other.test")):
        with pytest.raises(errors.OtherAccount):
            pairing.open(MESSAGE, CODE, *names, NOW)


@pytest.mark.parametrize("now", [PAIR.expires, PAIR.expires + 1, PAIR.expires + 10**6])
def test_an_expired_message_is_named_so(now: int) -> None:
    assert cause(MESSAGE, now=now) is errors.Expired
    assert cause(MESSAGE, bytes(16), now) is errors.WrongSecret


@pytest.mark.parametrize(
    "change", [{"expires": PAIR.expires + 1}, {"old_device": "Desl"}, {"new_device": "Other"}]
)
def test_devices_and_expiry_are_bound(change: dict[str, str]) -> None:
    """A header put on from another pairing: its key is another one."""
    other = pairing.seal(CODE, replace(PAIR, **change), GIFT)
    ends = [len(m) - len(pairing._encode(GIFT)) - 24 - 32 - 16 - 8 for m in (MESSAGE, other)]
    swapped = _wire.finish(other[: ends[1]] + MESSAGE[ends[0] : -8])
    assert cause(swapped) is errors.WrongSecret


@pytest.mark.parametrize(
    "change",
    [
        {"slots": (b"",)},
        {"slots": (b"1", b"2", b"3")},
        {"slots": (bytes(slot.SLOT_MAX + 1),)},
        {"sequence": 0},
        {"head": b"short"},
        {"device_token": ""},
        {"device_token": "x\n"},
        {"device_seed": b"short"},
        {"server_url": "x" * 2049},
        {"ca": bytes(pairing.CA_MAX + 1)},
        {"vault": bytes(1024 * 1024 + 1)},
    ],
)
def test_what_could_not_be_opened_is_not_sealed(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        pairing.seal(CODE, PAIR, replace(GIFT, **change))


@pytest.mark.parametrize("name", ["", "x" * 201, "a\x1b[2J", "a\nb"])
def test_names_of_devices_have_limits(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        pairing.seal(CODE, replace(PAIR, new_device=name), GIFT)


def forged(gift: Gift) -> bytes:
    """Sealed without the checks of `seal`."""
    header = MESSAGE[: len(MESSAGE) - len(pairing._encode(GIFT)) - pairing._box.EXTRA]
    payload = pairing._encode(gift)
    return pairing._box.seal(pairing._key(CODE, PAIR), pairing._LABEL, header, payload)


@pytest.mark.parametrize("m_kib", [b"\xff\xff\xff\xff", b"\0\0\0\1"])
def test_a_slot_that_asks_for_huge_or_little_memory_is_refused(
    m_kib: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdf._sodium, "argon2id", lambda *_: pytest.fail("argon2 ran"))
    at = SLOT.index(PARAMS.encode()) + 5
    bent = _wire.finish(SLOT[:at] + m_kib + SLOT[at + 4 : -8])
    assert cause(forged(replace(GIFT, slots=(bent,)))) is errors.KdfRefused
    with pytest.raises(ValueError, match="slot"):
        pairing.seal(CODE, PAIR, replace(GIFT, slots=(bent,)))


def test_a_slot_of_another_account_is_refused() -> None:
    other = slot.wrap(
        GIFT.account_key, slot.SlotKind.RECOVERY, b"W" * 32, "bob@x.test", NAMES[1], generation=1
    )
    assert cause(forged(replace(GIFT, slots=(other,)))) is errors.OtherAccount
    assert cause(forged(replace(GIFT, slots=(b"no slot",)))) is errors.Damaged


def test_the_largest_vault_fits() -> None:
    big = replace(GIFT, vault=bytes(1024 * 1024), ca=bytes(24 * 1024))
    assert pairing.open(pairing.seal(CODE, PAIR, big), CODE, *NAMES, NOW)[1] == big


def test_nothing_secret_in_a_repr_or_an_error() -> None:
    assert "canary" not in repr(GIFT)
    assert "\\x08" not in repr(GIFT)
    content = b'{"canary":'
    header_end = len(MESSAGE) - len(pairing._encode(GIFT)) - 24 - 32 - 16 - 8
    made = pairing._box.seal(
        pairing._key(CODE, PAIR), pairing._LABEL, MESSAGE[:header_end], content
    )
    with pytest.raises(errors.Damaged) as caught:
        pairing.open(made, CODE, *NAMES, NOW)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_misuse_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        pairing.message_id(b"short")
