"""What this machine seals before it goes up: exact, to the stated keys only, proven as its own."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2email_client import device_seal
from e2email_client.device_seal import DeviceSealer, sealing
from e2email_client.failure import Alarm, ClientError, LocalFault, Refused
from e2email_client.history import History
from e2email_client.local.keywords import keywords
from e2email_client.local.mails import State
from e2email_client.opener import Device, Keys
from e2email_client.opening import Opening
from e2email_crypto import keyedit
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import SealFailed
from e2email_crypto.packets import message_key_ids
from e2email_crypto.statement import Policy, Statement
from e2email_protocol.sealed.record import Form, Record
from e2email_protocol.sealed.render import envelope_field, parse_rendered
from support import corpus
from support.machine import Machine
from support.residents import Resident, resident
from support.sealing import armored, encrypted_mail

NOW = int(time.time())
DEVICE = ArrivalKey(b"a device's seed of thirty-two by")
SERVER = ArrivalKey(b"the server's seed of thirty-two!")
MAIL = b"From: alice@example.test\r\nSubject: canary\r\n\r\nA draft.\r\n"
ODD = [
    b"",
    b"x",
    b"\r\n",
    b"no header at all\n",
    b"Subject: no date, bare LF\n\nand no end",
    b" begins with white space\r\n" + MAIL,
    b"Content-Type: text/html\r\nContent-Type: text/plain\r\n" + MAIL,
    MAIL + b"\0 \r \n \xff\xfe\r\n.\r\n",
    b"E2email-Envelope: 1\r\n" + MAIL,
    b"E2email-Seal: 1; account=x; id=y\r\n" + MAIL,
    b"Bcc: dave@example.test\r\n" + MAIL,
]


def vouched(who: Resident, *devices: ArrivalKey) -> Statement:
    return replace(who.stated, device_keys=tuple(one.public for one in devices))


def sealer_of(who: Resident, *history: Statement) -> DeviceSealer:
    """Of a machine of theirs, in whose vault is their one certificate."""
    stated = history or (vouched(who, DEVICE),)
    return DeviceSealer(who.address, DEVICE, lambda: [who.identity.cert], lambda: stated)


def record_of(octets: bytes) -> Record:
    record = parse_rendered(octets)
    assert record is not None
    return record


@pytest.fixture(scope="module", params=list(Policy))
def alice(request: pytest.FixtureRequest) -> Resident:
    return resident(policy=request.param.value)


@pytest.fixture
def sealer(alice: Resident) -> DeviceSealer:
    return sealer_of(alice)


@pytest.fixture(scope="module")
def opening(alice: Resident) -> Iterator[Opening]:
    def device(signer: str) -> Device | None:
        return Device(DEVICE.public) if signer == DEVICE.key_id else None

    keys = Keys(alice.address, (alice.stated.key_ids,), (SERVER.public,), (), device)
    made = Opening(keys, [alice.identity.tsk], workers=1)
    yield made
    made.close()


def opened(opening: Opening, octets: bytes):
    ((_, result),) = opening.bodies([("E" + record_of(octets).record_id.hex(), octets)])
    return result


@pytest.mark.parametrize("mail", ODD, ids=range(len(ODD)))
def test_whatever_a_program_stores_comes_back(
    sealer: DeviceSealer, opening: Opening, mail: bytes
) -> None:
    summary, body = opened(opening, sealer.seal(mail, NOW))
    assert body.delivered == body.view == mail
    assert body.trace_length == 0
    assert (summary.security.origin, summary.security.alarms) == ("device", ())
    assert summary.security.verdicts == {}


def test_the_corpus_comes_back(sealer: DeviceSealer, opening: Opening) -> None:
    mails = list(corpus.messages())[::5]
    made = [sealer.seal(octets, NOW) for _, octets in mails]
    found = opening.bodies([("E" + record_of(one).record_id.hex(), one) for one in made])
    for (name, octets), (_, (summary, body)) in zip(mails, found, strict=True):
        assert body.delivered == octets, name
        assert (summary.security.origin, summary.security.alarms) == ("device", ()), name


def test_what_goes_up_shows_nothing(alice: Resident, sealer: DeviceSealer) -> None:
    octets = sealer.seal(MAIL, NOW)
    record = record_of(octets)
    assert b"canary" not in octets
    assert b"draft" not in octets
    assert record.policy.value == alice.stated.policy.value
    assert (b"alice" in record.outer) is (alice.stated.policy is Policy.BASELINE)
    for message in (record.envelope, record.body):
        assert message_key_ids(message) == alice.stated.key_ids


def test_it_is_listed_as_proven(sealer: DeviceSealer, opening: Opening) -> None:
    record = record_of(sealer.seal(MAIL, NOW))
    email_id = "E" + record.record_id.hex()
    ((_, summary),) = opening.envelopes([(email_id, envelope_field(record))])
    assert summary.state is State.READY
    assert keywords(summary.security) == {"$e2email-sealed-when-stored"}


def test_each_has_an_id_of_its_own(sealer: DeviceSealer) -> None:
    made = [record_of(sealer.seal(MAIL, NOW)) for _ in range(3)]
    assert len({one.record_id for one in made}) == len({one.boundary for one in made}) == 3


def test_nothing_is_sealed_twice(sealer: DeviceSealer) -> None:
    once = sealer.seal(MAIL, NOW)
    assert sealer.seal(once, NOW) == once


def test_what_is_sealed_for_somebody_else_is_mail(sealer: DeviceSealer, opening: Opening) -> None:
    foreign = sealer_of(resident("bob@example.test")).seal(MAIL, NOW)
    octets = sealer.seal(foreign, NOW)
    assert octets != foreign
    assert opened(opening, octets)[1].delivered == foreign


def test_mail_encrypted_to_this_account_is_kept_as_the_policy_says(
    alice: Resident, sealer: DeviceSealer, opening: Opening
) -> None:
    inner = sealer_of(alice).seal(b"Subject: inner\r\n\r\nwords\r\n", NOW)
    mail = encrypted_mail(armored(record_of(inner).body))
    record = record_of(sealer.seal(mail, NOW))
    baseline = alice.stated.policy is Policy.BASELINE
    assert (record.form is Form.VERBATIM) is baseline


def test_the_size_limit(sealer: DeviceSealer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_seal, "MAX_MAIL", 1000)
    largest = sealer.seal(b"x" * 1000, NOW)
    with pytest.raises(Refused) as caught:
        sealer.seal(b"x" * 1001, NOW)
    assert caught.value.code == "TOOBIG"
    assert len(largest) > 1000
    assert sealer.seal(largest, NOW) == largest  # what is sealed already has no such limit


# --- what it is sealed to ---------------------------------------------------------------------


def refusal(sealer: DeviceSealer, now: int = NOW) -> ClientError:
    with pytest.raises(ClientError) as caught:
        sealer.seal(MAIL, now)
    return caught.value


def test_a_machine_that_was_removed_makes_nothing_any_more() -> None:
    alice = resident()
    history = [vouched(alice, DEVICE)]
    sealer = DeviceSealer(alice.address, DEVICE, lambda: [alice.identity.cert], lambda: history)
    assert sealer.seal(MAIL, NOW)
    history.append(replace(vouched(alice), sequence=2, previous=bytes(32)))
    fault = refusal(sealer)
    assert isinstance(fault, Refused)
    assert fault.code == "CANNOT"
    assert "e2email setup" in str(fault)


def test_a_new_policy_is_followed() -> None:
    alice = resident()
    history = [vouched(alice, DEVICE)]
    sealer = DeviceSealer(alice.address, DEVICE, lambda: [alice.identity.cert], lambda: history)
    assert record_of(sealer.seal(MAIL, NOW)).policy.value == "sealed"
    history.append(replace(history[0], sequence=2, previous=bytes(32), policy=Policy.BASELINE))
    assert record_of(sealer.seal(MAIL, NOW)).policy.value == "baseline"


def test_a_key_that_is_revoked_is_not_sealed_to() -> None:
    alice = resident()
    cert, revocation = alice.identity.cert, alice.identity.revocation
    end = 2 + cert[1]  # of the primary key's packet, whose header has two octets
    revoked = cert[:end] + revocation + cert[end:]
    sealer = DeviceSealer(
        alice.address, DEVICE, lambda: [revoked], lambda: [vouched(alice, DEVICE)]
    )
    fault = refusal(sealer)
    assert isinstance(fault, Refused)
    assert fault.code == "CANNOT"


def test_a_stated_key_that_is_missing_seals_nothing() -> None:
    """Nor is it sealed to the others alone: some machine of theirs could not read it."""
    alice, bob = resident(), resident("bob@example.test")
    both = (*alice.stated.certificates, *bob.stated.certificates)
    assert isinstance(refusal(sealer_of(alice, replace(vouched(alice, DEVICE), certificates=both))),
                      Refused)  # fmt: skip


def test_other_subkeys_than_stated_are_an_alarm() -> None:
    alice = resident()
    (stated,) = alice.stated.certificates
    other = replace(stated, encryption_subkeys=("0" * 40,))
    assert isinstance(
        refusal(sealer_of(alice, replace(vouched(alice, DEVICE), certificates=(other,)))), Alarm
    )


def test_certificates_that_no_statement_names_are_left_out() -> None:
    alice = resident()
    old = keyedit.new_identity(alice.address, "", NOW - 60).cert
    stated = [vouched(alice, DEVICE)]
    sealer = DeviceSealer(alice.address, DEVICE, lambda: [old, alice.identity.cert], lambda: stated)
    record = record_of(sealer.seal(MAIL, NOW))
    assert message_key_ids(record.body) == alice.stated.key_ids


def test_a_library_that_fails_stores_nothing(
    sealer: DeviceSealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise SealFailed("broken")

    sealer.seal(MAIL, NOW)
    monkeypatch.setattr(device_seal, "seal", fail)
    assert isinstance(refusal(sealer), LocalFault)


# --- of an account on this machine ------------------------------------------------------------


def test_a_machine_that_was_set_up_seals(machine: Machine) -> None:
    seal = sealing(machine.unlocked, History(machine.unlocked))
    assert seal is not None
    assert record_of(seal(MAIL)).policy.value == "sealed"


def test_without_a_key_that_is_vouched_for_the_server_seals(machine: Machine) -> None:
    history = History(machine.unlocked)
    for key in (None, ArrivalKey.generate()):
        assert sealing(replace(machine.unlocked, device_key=key), history) is None


def test_no_secret_in_its_repr(sealer: DeviceSealer) -> None:
    sealer.seal(MAIL, NOW)
    for text in (repr(sealer), repr(sealer._judged)):
        assert DEVICE.seed.hex() not in text
        assert repr(DEVICE.seed) not in text
