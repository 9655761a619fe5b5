"""Account messages: round trips, every refusal by name, and reprs without secrets."""

import json

import pytest

from e2email_protocol import account as m
from e2email_protocol.jsonform import MAX_INTEGER, Form, FormInvalid, parse

KDF = m.KdfParameters(3, 65536, b"s" * 16)
REGISTRATION = m.Registration(
    address="alice@example.test",
    auth=b"A" * 32,
    kdf=KDF,
    slots=(m.Slot("passphrase", 1, b"SLOTSECRET"),),
    vault=b"VAULTSECRET",
    statement=b"S",
    certificate=b"C",
    recovery=b"A" * 32,
)
MESSAGES: list[Form] = [
    REGISTRATION,
    KDF,
    m.LoginQuestion("a@b"),
    m.AccountInfo("a@b", 1, 1, 0, (m.SlotVersion("recovery", 2),), True),
    m.VaultBox(1, b"v"),
    m.Slots((m.Slot("recovery", 7, b"r"),)),
    m.NewSlot(m.Slot("recovery", 7, b"r"), None, b"A" * 32),
    m.NewSlot(m.Slot("passphrase", 2, b"p"), m.NewLogin(b"A" * 32, KDF), None),
    m.NewSlot(None, m.NewLogin(b"A" * 32, KDF), None),
    m.NewAccountKey(
        m.VaultBox(3, b"v"),
        m.StateBox(4, b"s"),
        (m.Slot("passphrase", 2, b"p"),),
        m.NewLogin(b"A" * 32, KDF),
        b"A" * 32,
    ),
    m.NewAccountKey(None, None, (), None, None),
    m.NewPairing(1_700_000_000, b"SECRET"),
    m.PairingMessage(b"SECRET"),
    m.Revocation(b"c"),
    m.RecordList(("0a" * 16,), "0b" * 16),
    m.Directory((b"1",), (b"c",), ("AB" * 20,)),
    m.StateBox(2, b"s"),
    m.Statements((b"1", b"2"), (b"c",)),
    m.NewStatement(b"1"),
    m.NewCertificates(b"1", (b"c",)),
    m.TokenRequest("app", "Jörg's phone", ("read", "send")),
    m.NewToken("0af3", "e2a_" + "k" * 26),
    m.Tokens((m.TokenInfo("1", "app", "phone", ("read",), 1_700_000_000, 20_000),)),
    m.ServerInfo(
        "mail.example.test",
        1,
        b"p" * 32,
        (b"next",),
        m.Ports(143, 993, None, None, 587, 465),
    ),
    m.Refusal("conflict", "Somebody else was faster."),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_round_trip(message: Form) -> None:
    assert type(message).decode(message.encode()) == message


def changed(**members: object) -> bytes:
    return json.dumps({**json.loads(REGISTRATION.encode()), **members}).encode()


BAD = {
    "no JSON": b"{",
    "not UTF-8": b'{"a":"\xff"}',
    "version 0": changed(slots=[{"kind": "passphrase", "version": 0, "wrapped": "AA=="}]),
    "deep nesting": b"[" * 100_000,
    "a number of 5000 digits": b'{"t":' + b"1" * 5000 + b"}",
    "NaN": b'{"t":NaN}',
    "a fraction": b'{"t":1.5}',
    "an array": b"[]",
    "null": b"null",
    "a member twice": REGISTRATION.encode()[:-1] + b',"address":"b@example.test"}',
    "a member missing": b'{"address":"a@b"}',
    "a member unknown": changed(admin=True),
    "base64 with blanks": changed(vault="AAA A"),
    "base64 not canonical": changed(vault="AB=="),
    "base64 in the URL alphabet": changed(vault="__8="),
    "base64 as a number": changed(vault=5),
    "vault empty": changed(vault=""),
    "vault above its cap": changed(vault="A" * (4 * (m.VAULT_CAP // 3 + 1))),
    "auth short": changed(auth="AAAA"),
    "recovery short": changed(recovery="AAAA"),
    "nine slots": changed(slots=[{"kind": "passphrase", "version": 1, "wrapped": "AA=="}] * 9),
    "a keyring slot": changed(slots=[{"kind": "keyring", "version": 1, "wrapped": "AA=="}]),
    "slots as an object": changed(slots={"0": 1}),
    "kdf true": changed(kdf=True),
    "kdf t as true": changed(kdf={"t": True, "m_kib": 65536, "salt": "A" * 22 + "=="}),
    "kdf t 0": changed(kdf={"t": 0, "m_kib": 65536, "salt": "A" * 22 + "=="}),
    "kdf m beyond 32 bits": changed(kdf={"t": 3, "m_kib": 2**32, "salt": "A" * 22 + "=="}),
    "address without @": changed(address="alice"),
    "address with two @": changed(address="a@b@c"),
    "address with NUL": changed(address="a\0@b"),
    "address with a line end": changed(address="a@b\r\nX: y"),
    "address with a lone surrogate": changed(address="a\ud800@b"),
    "address too long": changed(address="a" * 250 + "@b.test"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    with pytest.raises(FormInvalid):
        m.Registration.decode(BAD[name])


def test_refusal_text_holds_no_value() -> None:
    for octets in (changed(auth="CANARY"), changed(address="CANARY"), changed(CANARY=1)):
        with pytest.raises(FormInvalid) as caught:
            m.Registration.decode(octets)
        assert "CANARY" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_reply_may_say_more() -> None:
    octets = b'{"t":3,"m_kib":65536,"salt":"' + b"A" * 22 + b'==","later":[1]}'
    assert m.KdfParameters.decode(octets, strict=False).t == 3
    with pytest.raises(FormInvalid):
        m.KdfParameters.decode(octets)


def test_reprs_are_safe() -> None:
    shown = repr(MESSAGES)
    for secret in ("SECRET", "e2a_", "AAAA", "b'v'"):
        assert secret not in shown


def test_parse_accepts_plain_json() -> None:
    assert parse('{"a":[1,"ü",null,true]}'.encode()) == {"a": [1, "ü", None, True]}


def test_largest_requests_fit_their_cap() -> None:
    full = m.Registration(
        "a@b", b"A" * 32, KDF,
        tuple(m.Slot("recovery", 1, b"x" * m.SLOT_CAP) for _ in range(m.SLOTS_CAP)),
        b"v" * m.VAULT_CAP, b"s" * m.STATEMENT_CAP, b"c" * m.CERTIFICATE_CAP,
        b"R" * 32,
    )  # fmt: skip
    assert len(full.encode()) <= m.REQUEST_CAP
    assert len(m.StateBox(1, b"s" * m.STATE_CAP).encode()) <= m.STATE_REQUEST_CAP
    certificates = (b"c" * m.CERTIFICATE_CAP,) * m.CERTIFICATES_CAP
    assert len(m.NewCertificates(b"s", certificates).encode()) <= m.REQUEST_CAP
    state = m.StateBox(1, b"s" * m.STATE_CAP)
    new_key = m.NewAccountKey(
        m.VaultBox(1, full.vault or b""), state, full.slots, m.NewLogin(b"A" * 32, KDF), b"R" * 32
    )
    assert len(new_key.encode()) <= m.ACCOUNT_KEY_REQUEST_CAP
    pairing = m.NewPairing(MAX_INTEGER, b"p" * m.PAIRING_CAP)
    assert len(pairing.encode()) <= m.REQUEST_CAP


def test_largest_replies_fit_their_cap() -> None:
    statements = (b"s" * m.STATEMENT_CAP,) * m.STATEMENTS_PAGE
    certificates = (b"c" * m.CERTIFICATE_CAP,) * m.HISTORY_CERTIFICATES_CAP
    in_use = ("AB" * 32,) * m.CERTIFICATES_CAP
    assert len(m.Directory(statements, certificates, in_use).encode()) <= m.REPLY_CAP
    assert len(m.RecordList(("0" * 32,) * m.RECORDS_PAGE, "0" * 32).encode()) <= m.REPLY_CAP
