"""Certificates of devices, past ones, revocations, addresses and overrides over the account API."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2email_client.api import Login
from e2email_client.failure import Refused
from e2email_crypto import cert, keyedit, packets, recovery, statement
from e2email_crypto.statement import Authority, Entry, verify_chain
from e2email_protocol import account as m
from e2email_server import keycheck
from e2email_server.accounts import InviteRefused
from e2email_server.smtp.delivery import Refusal
from e2email_server.standing import lines
from e2email_server.store.errors import NotFound
from e2email_server.store.types import Certificate
from e2email_server.targets import NotTaken, find_target
from support.account_server import (
    ALICE,
    BOB,
    NAME,
    PARAMS,
    Ok,
    Running,
    account_server,
    entry,
    identity,
    registration,
    split,
    stated,
)
from support.residents import house

AFRESH = Login.afresh(ALICE, split().auth)
# no Argon2id for every request
OWNER = Login.device("e2r_" + (b"\xab" * 32).hex())
WITH_RECOVERY = {
    "recovery": b"\xab" * 32,
    "slots": (m.Slot("passphrase", 1, b"slot"), m.Slot("recovery", 1, b"slot")),
}
SALES, TEAM = "sales@example.test", "team@example.test"
ALIASES = {SALES: (ALICE,), TEAM: (ALICE, BOB)}
FIRST, SECOND, THIRD = (identity(ALICE, number) for number in (1, 2, 3))
RECOVERY = recovery.split(bytes(recovery.SECRET_SIZE), ALICE, NAME)


@pytest.fixture
async def alice() -> AsyncIterator[Running]:
    """A server with aliases on which alice is registered."""
    async with account_server(aliases=ALIASES) as running:
        await running.register(**WITH_RECOVERY)
        yield running


async def call(running: Running, *arguments: Any, **options: Any) -> Any:
    return await asyncio.to_thread(running.api.call, *arguments, **options)


async def refused(running: Running, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        await call(running, *arguments, **options)
    return caught.value.code


async def publish(running: Running, made: bytes, *keys: keyedit.Identity) -> None:
    wish = m.NewCertificates(made, tuple(key.cert for key in keys))
    await call(running, "PUT", "/v1/certificates", Ok, wish, OWNER)


async def not_published(running: Running, made: bytes, *certificates: bytes) -> str:
    """The code; and nothing has changed."""
    before = await running.store.recipient(ALICE)
    wish = m.NewCertificates(made, certificates)
    code = await refused(running, "PUT", "/v1/certificates", Ok, wish, OWNER)
    assert await running.store.recipient(ALICE) == before
    return code


async def history(running: Running, login: Login = OWNER) -> m.Statements:
    page: m.Statements = await call(running, "GET", "/v1/statements", m.Statements, login=login)
    return page


def following(
    before: bytes, signer: keyedit.Identity, *listed: keyedit.Identity, **changes: Any
) -> bytes:
    certificates = tuple(stated(one) for one in listed)
    return entry(before=before, signer=signer, certificates=certificates, **changes)


# --- several certificates, and past ones ----------------------------------------------------


async def test_two_devices_with_a_key_each(alice: Running) -> None:
    both = following(entry(), FIRST, FIRST, SECOND)
    await publish(alice, both, FIRST, SECOND)
    target = await find_target(alice.store, ALICE, alice.store._clock)
    listed = statement.decode(Entry.decode(both).statement)
    assert {one.fingerprint for one in target.keys} == listed.fingerprints
    assert {key_id for one in target.keys for key_id in one.key_ids} == listed.key_ids
    assert len(listed.key_ids) == 2
    # either of them signs the next entry
    await publish(alice, following(both, SECOND, SECOND), SECOND)


async def test_as_many_certificates_as_may_be_and_one_more(alice: Running) -> None:
    keys = [identity(ALICE, number) for number in range(1, m.CERTIFICATES_CAP + 1)]
    await publish(alice, following(entry(), FIRST, *keys), *keys)
    assert len((await history(alice)).certificates) == m.CERTIFICATES_CAP
    wish = m.NewCertificates(b"x", (FIRST.cert,) * (m.CERTIFICATES_CAP + 1))
    code = await refused(alice, "PUT", "/v1/certificates", Ok, wish, OWNER)
    assert code == "bad-request"


async def test_a_certificate_twice(alice: Running) -> None:
    made = following(entry(), FIRST, FIRST)
    assert await not_published(alice, made, FIRST.cert, FIRST.cert) == "statement-refused"


async def test_one_certificate_of_two_that_is_no_good(alice: Running) -> None:
    made = following(entry(), FIRST, FIRST, SECOND)
    assert await not_published(alice, made, FIRST.cert, SECOND.tsk) == "certificate-refused"
    assert await not_published(alice, made, FIRST.cert, b"x" * 65536) == "certificate-refused"


async def test_the_whole_history_is_verified_with_what_comes_beside_it(alice: Running) -> None:
    second = following(entry(), FIRST, SECOND)
    await publish(alice, second, SECOND)
    third = following(second, SECOND, THIRD)
    await publish(alice, third, THIRD)
    page = await history(alice)
    assert set(page.certificates) == {FIRST.cert, SECOND.cert, THIRD.cert}
    newest = verify_chain(page.statements, page.certificates, ALICE)
    assert newest.fingerprints == {THIRD.fingerprint}


async def test_of_a_certificate_the_newest_form_is_given(alice: Running) -> None:
    now = int(time.time())
    longer = keyedit.add_address(FIRST.tsk, SALES, "Sales", now)
    second = following(entry(), FIRST, FIRST)
    wish = m.NewCertificates(second, (longer.cert,))
    await call(alice, "PUT", "/v1/certificates", Ok, wish, OWNER)
    await publish(alice, following(second, FIRST, SECOND), SECOND)
    page = await history(alice)
    assert set(page.certificates) == {longer.cert, SECOND.cert}
    verify_chain(page.statements, page.certificates, ALICE)


async def test_a_rotated_key_is_published_and_its_old_form_takes_no_mail(alice: Running) -> None:
    """One certificate, one subkey more; who puts the old row back gains nothing."""
    now = int(time.time())
    rotated = keyedit.rotate_encryption(FIRST.tsk, now)
    usable = [
        one.fingerprint
        for one in cert.inspect_cert(rotated.cert, now).subkeys
        if one.state is cert.SubkeyState.USABLE
    ]
    listed = statement.Certificate(FIRST.fingerprint, tuple(usable))
    made = entry(before=entry(), certificates=(listed,))
    await call(
        alice, "PUT", "/v1/certificates", Ok, m.NewCertificates(made, (rotated.cert,)), OWNER
    )
    target = await find_target(alice.store, ALICE, alice.store._clock)
    old = {statement.key_id(one) for one in stated(FIRST).encryption_subkeys}
    assert target.known_key_ids == old | {statement.key_id(one) for one in usable}
    assert {key_id for one in target.keys for key_id in one.key_ids}.isdisjoint(old)
    account = await alice.store.account(ALICE)
    await alice.store.revise(account.account_id, Certificate(FIRST.fingerprint, FIRST.cert))
    with pytest.raises(NotTaken) as caught:
        await find_target(alice.store, ALICE, alice.store._clock)
    assert caught.value.refusal.reply.startswith(b"450 4.7.5")


async def test_a_page_has_the_certificates_of_its_own_signers(alice: Running) -> None:
    entries = [entry()]
    keys = [identity(ALICE, number) for number in range(1, 5)]
    for signer, key in itertools.pairwise(keys):
        entries.append(following(entries[-1], signer, key))
        await publish(alice, entries[-1], key)
    path = "/v1/statements?from=4"
    page = await call(alice, "GET", path, m.Statements, login=OWNER)
    assert page.statements == (entries[3],)
    assert set(page.certificates) == {keys[2].cert, keys[3].cert}


async def test_a_history_has_an_end(alice: Running, monkeypatch: Any) -> None:
    monkeypatch.setattr(statement, "ENTRIES_MAX", 1)
    made = following(entry(), FIRST, FIRST)
    assert await not_published(alice, made, FIRST.cert) == "statement-refused"


async def test_what_an_account_ever_had_has_an_end(alice: Running, monkeypatch: Any) -> None:
    """All of it is read at every change."""
    monkeypatch.setattr(keycheck, "EVER_CAP", len(FIRST.cert) + len(SECOND.cert))
    both = following(entry(), FIRST, SECOND)
    await publish(alice, both, SECOND)
    full = following(both, SECOND, THIRD)
    assert await not_published(alice, full, THIRD.cert) == "certificate-refused"
    # of what is there a newer form of no greater size is taken
    await publish(alice, following(both, SECOND, FIRST), FIRST)


async def test_of_two_devices_that_publish_at_once_one_is_first(alice: Running) -> None:
    async def attempt(number: int) -> str:
        made = following(entry(), FIRST, FIRST, time=1_700_000_000 + number)
        try:
            await call(alice, "POST", "/v1/statements", Ok, m.NewStatement(made), OWNER)
        except Refused as refusal:
            return refusal.code
        return "published"

    outcomes = await asyncio.gather(*(attempt(number) for number in range(3)))
    assert sorted(outcomes) == ["published", "statement-refused", "statement-refused"]
    assert len((await history(alice)).statements) == 2


# --- addresses ------------------------------------------------------------------------------


async def name(running: Running, before: bytes, *addresses: str) -> str:
    """The code of publishing an entry with further addresses; "" for success."""
    made = following(before, FIRST, FIRST, addresses=(ALICE, *addresses))
    try:
        await call(running, "POST", "/v1/statements", Ok, m.NewStatement(made), OWNER)
    except Refused as refusal:
        return refusal.code
    return ""


@pytest.mark.parametrize(
    "address",
    [TEAM, BOB, "nobody@example.test", "alice@elsewhere.test", "postmaster@example.test"],
)
async def test_an_address_that_does_not_lead_here_alone(alice: Running, address: str) -> None:
    await alice.register(BOB)
    assert await name(alice, entry(), address) == "statement-refused"
    assert await name(alice, entry(), SALES, address) == "statement-refused"
    assert await name(alice, entry(), SALES) == ""


async def test_the_first_address_is_the_accounts(alice: Running) -> None:
    made = following(entry(), FIRST, FIRST, addresses=(SALES, ALICE))
    assert await not_published(alice, made, FIRST.cert) == "statement-refused"


async def test_an_alias_that_leads_elsewhere_later_keeps_nobody_from_anything(
    alice: Running, caplog: pytest.LogCaptureFixture
) -> None:
    await alice.register(BOB)
    assert await name(alice, entry(), SALES) == ""
    second = (await history(alice)).statements[1]
    alice.recipients.config = house(aliases={SALES: (BOB,)})
    await alice.standing.tell_misled()
    assert f"{SALES} of the statement of {ALICE} leads elsewhere" in caplog.text
    assert (await alice.standing.of(ALICE))["aliases"] == {SALES: False}
    # mail for alice goes on, and mail for sales is bob's
    assert (await find_target(alice.store, ALICE, alice.store._clock)).address == ALICE
    owner = await alice.recipients.owner(SALES)
    assert owner is not None
    assert owner.address == BOB
    # and alice may change her keys, with the address or without
    assert await name(alice, second, SALES) == ""
    third = (await history(alice)).statements[2]
    assert await name(alice, third) == ""
    fourth = (await history(alice)).statements[3]
    assert await name(alice, fourth, SALES) == "statement-refused"


# --- revocation -----------------------------------------------------------------------------


def revoked(key: keyedit.Identity) -> bytes:
    now = int(time.time())
    return keyedit.revoke(key.tsk, keyedit.Reason.COMPROMISED, now).cert


async def revoke(running: Running, certificate: bytes) -> None:
    await call(running, "PUT", "/v1/revocation", Ok, m.Revocation(certificate), OWNER)


async def test_after_a_revocation_mail_is_refused_for_good(alice: Running) -> None:
    await revoke(alice, revoked(FIRST))
    with pytest.raises(NotTaken) as caught:
        await find_target(alice.store, ALICE, alice.store._clock)
    assert caught.value.refusal is Refusal.REVOKED
    assert caught.value.refusal.reply.startswith(b"550 5.7.1")
    assert (await history(alice)).certificates == (revoked(FIRST),)
    await revoke(alice, revoked(FIRST))  # a lost answer


async def test_what_is_no_revocation_is_not_taken(alice: Running) -> None:
    now = int(time.time())
    stripped = packets.split(revoked(FIRST), 64)
    lacking = b"".join(one.raw for one in stripped[:-2])
    broken = bytearray(revoked(FIRST))
    broken[broken.index(stripped[1].raw) + len(stripped[1].raw) - 1] ^= 1
    wishes = {
        "not revoked": FIRST.cert,
        "another's": revoked(identity(BOB)),
        "never of this account": revoked(SECOND),
        "lacks a subkey": lacking,
        "a broken signature": bytes(broken),
        "an address more": keyedit.add_address(FIRST.tsk, SALES, "", now).cert,
        "a secret key": FIRST.tsk,
        "nothing": b"\x99",
    }
    for name, certificate in wishes.items():
        wish = m.Revocation(certificate)
        code = await refused(alice, "PUT", "/v1/revocation", Ok, wish, OWNER)
        assert code == "certificate-refused", name
    assert (await history(alice)).certificates == (FIRST.cert,)


async def test_a_past_certificate_is_revoked_and_mail_goes_on(alice: Running) -> None:
    second = following(entry(), FIRST, SECOND)
    await publish(alice, second, SECOND)
    await revoke(alice, revoked(FIRST))
    target = await find_target(alice.store, ALICE, alice.store._clock)
    assert [one.fingerprint for one in target.keys] == [SECOND.fingerprint]
    assert set((await history(alice)).certificates) == {revoked(FIRST), SECOND.cert}


async def test_a_revocation_is_final(alice: Running) -> None:
    """Neither the form of before nor another one brings the key back, in use or past."""
    await publish(alice, following(entry(), FIRST, FIRST, SECOND), FIRST, SECOND)
    second = (await history(alice)).statements[1]
    await revoke(alice, revoked(FIRST))
    made = following(second, SECOND, FIRST, SECOND)
    assert await not_published(alice, made, FIRST.cert, SECOND.cert) == "certificate-refused"
    third = following(second, SECOND, SECOND)
    await publish(alice, third, SECOND)
    await find_target(alice.store, ALICE, alice.store._clock)
    made = following(third, SECOND, FIRST)
    assert await not_published(alice, made, FIRST.cert) == "certificate-refused"


async def test_a_compromised_key_signs_nothing_more_and_recovery_does(alice: Running) -> None:
    second = following(entry(), FIRST, FIRST, recovery_key=RECOVERY.public)
    await publish(alice, second, FIRST)
    await revoke(alice, revoked(FIRST))
    made = following(second, FIRST, SECOND)
    assert await not_published(alice, made, SECOND.cert) == "statement-refused"
    await publish(alice, by_recovery(made), SECOND)
    await find_target(alice.store, ALICE, alice.store._clock)


def by_recovery(made: bytes) -> bytes:
    """The same statement, vouched for by the recovery key."""
    stated = statement.decode(Entry.decode(made).statement)
    return recovery.sign_entry_by_recovery(stated, RECOVERY).encode()


# --- beginning anew -------------------------------------------------------------------------


def forced(before: bytes, key: keyedit.Identity = SECOND, **changes: Any) -> bytes:
    octets = Entry.decode(following(before, key, key, **changes)).statement
    return Entry(octets, Authority.FORCED).encode()


def anew(before: bytes, **changes: Any) -> m.Registration:
    values: dict[str, Any] = {
        "auth": b"N" * 32,
        "kdf": m.KdfParameters(4, PARAMS.m_kib, b"t" * 16),
        "statement": forced(before),
        "certificate": SECOND.cert,
    }
    return registration(**(values | changes))


async def register(running: Running, wish: m.Registration, invite: str) -> m.AccountInfo:
    made: m.AccountInfo = await call(
        running, "POST", "/v1/accounts", m.AccountInfo, wish, Login.invite(invite)
    )
    return made


async def test_an_account_begins_anew(alice: Running, caplog: pytest.LogCaptureFixture) -> None:
    account = await alice.store.account(ALICE)
    wish = m.TokenRequest("device", "lost", ("read",))
    token = (await alice.accounts.new_token(account, wish)).token
    invite = await alice.accounts.invite(ALICE, replace=True)
    known = await history(alice, Login.invite(invite))
    assert known == await history(alice)

    made = await register(alice, anew(known.statements[-1]), invite)
    assert (made.statements, made.vault_version, made.state_version) == (2, 1, 0)
    for login in (AFRESH, OWNER, Login.device(token), Login.invite(invite)):
        alice.ticks.now += 3600
        code = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=login)
        assert code == "login-refused"
    login = Login.afresh(ALICE, b"N" * 32)
    page = await history(alice, login)
    assert [Entry.decode(one).authority for one in page.statements] == ["key", "forced"]
    with pytest.raises(statement.StatementInvalid, match="forced"):
        verify_chain(page.statements, page.certificates, ALICE)
    digest = Entry.decode(page.statements[-1]).digest
    verify_chain(page.statements, page.certificates, ALICE, accepted={digest})
    target = await find_target(alice.store, ALICE, alice.store._clock)
    assert [one.fingerprint for one in target.keys] == [SECOND.fingerprint]
    assert target.inbox == account.inbox
    assert "may be begun anew" in caplog.text
    assert "begun anew by an invite" in caplog.text


async def test_what_begins_anew_must_continue_the_history(alice: Running) -> None:
    invite = await alice.accounts.invite(ALICE, replace=True)
    before = await alice.store.recipient(ALICE)
    wishes = {
        "a first entry": anew(entry(), statement=entry(signer=SECOND)),
        "another past": anew(entry(), statement=forced(entry(time=5))),
        "a gap": anew(entry(), statement=forced(forced(entry()))),
        "another key": anew(entry(), certificate=THIRD.cert),
        "a stranger's signature": anew(entry(), statement=following(entry(), SECOND, SECOND)),
        "a foreign address": anew(
            entry(), statement=forced(entry(), addresses=(ALICE, "nobody@example.test"))
        ),
    }
    for name, wish in wishes.items():
        with pytest.raises(Refused) as caught:
            await register(alice, wish, invite)
        assert caught.value.code == "statement-refused", name
        assert await alice.store.recipient(ALICE) == before
    await call(alice, "GET", "/v1/vault", m.VaultBox, login=OWNER)
    await register(alice, anew(entry()), invite)


async def test_an_override_comes_by_such_an_invite_only(alice: Running) -> None:
    assert await not_published(alice, forced(entry()), SECOND.cert) == "statement-refused"
    wish = m.NewStatement(forced(entry(), FIRST))
    code = await refused(alice, "POST", "/v1/statements", Ok, wish, OWNER)
    assert code == "statement-refused"
    async with account_server() as running:
        invite = await running.accounts.invite(ALICE)
        octets = Entry.decode(entry()).statement
        first = registration(statement=Entry(octets, Authority.FORCED).encode())
        with pytest.raises(Refused) as caught:
            await register(running, first, invite)
        assert caught.value.code == "statement-refused"


async def test_an_ordinary_invite_shows_no_history(alice: Running) -> None:
    invite = await alice.accounts.invite(BOB)
    assert await history(alice, Login.invite(invite)) == m.Statements((), ())


async def test_an_invite_that_replaces_is_for_one_account(alice: Running) -> None:
    await alice.register(BOB)
    invite = await alice.accounts.invite(BOB, replace=True)
    with pytest.raises(Refused) as caught:
        await register(alice, anew(entry()), invite)
    assert caught.value.code == "invite-refused"
    with pytest.raises(NotFound):
        await alice.accounts.invite("nobody@example.test", replace=True)


async def test_of_two_that_begin_anew_one_does(alice: Running) -> None:
    invited = await alice.accounts.invited(
        await alice.accounts.invite(ALICE, replace=True), "198.51.100.1"
    )
    wish = anew(entry())
    attempts = [alice.accounts.register(wish, invited) for _ in range(2)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert sum(isinstance(one, m.AccountInfo) for one in outcomes) == 1
    assert len(await alice.store.statements(1, 1, 9)) == 2
    with pytest.raises(InviteRefused):
        await alice.accounts.invited("e2i_" + "x" * 32, "198.51.100.1")


async def test_the_operator_sees_the_override(alice: Running) -> None:
    await call(alice, "DELETE", "/v1/vault", Ok, login=OWNER)
    before = await alice.standing.of(ALICE)
    assert (before["forced"], before["custody"], before["sequence"]) == ([], "paranoid", 1)
    invite = await alice.accounts.invite(ALICE, replace=True)
    await register(alice, anew(entry()), invite)
    await alice.store.revise(1, (await alice.store.recipient(ALICE)).certificates[0])
    found = await alice.standing.of(ALICE)
    assert (found["forced"], found["custody"], found["sequence"]) == ([2], "cautious", 2)
    assert found["keys"] == [{"fingerprint": SECOND.fingerprint, "revoked": False, "expires": None}]
    text = "\n".join(lines(found))
    assert "2 entries, forced: 2" in text
    assert "mail         taken" in text
    for secret in (b"N" * 32, PARAMS.salt):
        assert secret.hex() not in repr(found)
