"""The account API over real TLS: what it does, and every refusal."""

import asyncio
import base64
import http.client
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from e2email_client.api import Login
from e2email_client.failure import Refused
from e2email_protocol import account as m
from e2email_protocol.sealed.record import Policy
from e2email_server.store.errors import StoreFailed
from e2email_server.store.types import NewAccount
from support.account_server import (
    ALICE,
    BOB,
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

ALICE_LOGIN = Login.afresh(ALICE, split().auth)


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


@pytest.fixture
async def alice(running: Running) -> Running:
    """A server on which alice is registered."""
    await running.register()
    return running


async def call(running: Running, *arguments: Any, **options: Any) -> Any:
    return await asyncio.to_thread(running.api.call, *arguments, **options)


async def refused(running: Running, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        await call(running, *arguments, **options)
    return caught.value.code


def raw(
    running: Running, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request as it is, for what our client never sends."""
    context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
    context.check_hostname = False
    connection = http.client.HTTPSConnection(
        "127.0.0.1", running.server.port, context=context, timeout=20
    )
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, names)
    reply = connection.getresponse()
    octets = reply.read()
    connection.close()
    return reply.status, {key.lower(): value for key, value in reply.getheaders()}, octets


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def code(octets: bytes) -> str:
    return str(json.loads(octets)["error"])


# --- before login ---------------------------------------------------------------------------


async def test_server_info(running: Running) -> None:
    info = await call(running, "GET", "/v1/server", m.ServerInfo)
    assert (info.name, info.api) == ("mail.example.test", 1)
    assert info.arrival == running.arrival.public
    assert info.ports.imaps == 1993
    assert info.ports.pop3 is None


async def test_health_and_autoconfig(running: Running) -> None:
    assert (await asyncio.to_thread(raw, running, "GET", "/health"))[0] == 200
    assert (await asyncio.to_thread(raw, running, "HEAD", "/health"))[::2] == (200, b"")
    for path in ("/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"):
        status, headers, octets = await asyncio.to_thread(raw, running, "GET", path)
        assert status == 200
        assert headers["content-type"].startswith("text/xml")
        assert b"<domain>example.test</domain>" in octets
        assert b"<port>1993</port>" in octets


async def test_a_full_disk_is_not_healthy(running: Running, monkeypatch: Any) -> None:
    monkeypatch.setattr(running.store, "has_room", lambda: False)
    status, _, octets = await asyncio.to_thread(raw, running, "GET", "/health")
    assert (status, code(octets)) == (503, "disk-low")


async def test_register_and_read_everything_back(running: Running) -> None:
    wish, invite = registration(), Login.invite(await running.accounts.invite(ALICE))
    made = await call(running, "POST", "/v1/accounts", m.AccountInfo, wish, invite)
    assert made == m.AccountInfo(ALICE, 1, 1, 0, (m.SlotVersion("passphrase", 1),), False)
    asked = m.LoginQuestion(ALICE.upper())
    assert await call(running, "POST", "/v1/login-parameters", m.KdfParameters, asked) == wish.kdf
    assert await call(running, "GET", "/v1/account", m.AccountInfo, login=ALICE_LOGIN) == made
    vault = await call(running, "GET", "/v1/vault", m.VaultBox, login=ALICE_LOGIN)
    assert vault == m.VaultBox(1, wish.vault)
    slots = await call(running, "GET", "/v1/slots", m.Slots, login=ALICE_LOGIN)
    assert slots.slots == wish.slots
    page = await call(running, "GET", "/v1/statements", m.Statements, login=ALICE_LOGIN)
    assert page.statements == (wish.statement,)
    stored = await running.store.recipient(ALICE)
    assert [one.octets for one in stored.certificates] == [wish.certificate]
    assert split().auth.hex() not in stored.account.auth_hash


async def test_upper_case_address_is_the_same_account(alice: Running) -> None:
    login = Login.afresh("Alice@EXAMPLE.test", split().auth)
    assert (await call(alice, "GET", "/v1/account", m.AccountInfo, login=login)).address == ALICE


# --- registration refused -------------------------------------------------------------------


async def register(running: Running, invite: str, **changes: Any) -> str:
    wish, login = registration(**changes), Login.invite(invite)
    return await refused(running, "POST", "/v1/accounts", m.AccountInfo, wish, login)


async def test_invites_are_refused_alike(running: Running) -> None:
    """None, unknown, used, for another address: one answer, and it tells nothing of the address."""
    used = await running.accounts.invite(ALICE)
    login = Login.invite(used)
    await call(running, "POST", "/v1/accounts", m.AccountInfo, registration(), login)
    bobs = await running.accounts.invite(BOB)
    headers = [{}, *({"Authorization": f"Bearer {one}"} for one in ("e2i_x", used, bobs))]
    answers = set()
    for header in headers:
        running.ticks.now += 3600
        status, _, octets = await asyncio.to_thread(
            raw, running, "POST", "/v1/accounts", registration().encode(),
            Content_Type="application/json", **header,
        )  # fmt: skip
        answers.add((status, octets))
    assert len(answers) == 1
    assert answers.pop()[0] == 403


async def test_a_stranger_is_refused_before_the_body_is_read(running: Running) -> None:
    """Else everybody could make the server hold two megabytes for each connection."""
    status, _, octets = await asyncio.to_thread(
        raw, running, "POST", "/v1/accounts", b"{",
        Content_Type="application/json", Content_Length="2000000", Authorization="Bearer e2i_x",
    )  # fmt: skip
    assert (status, code(octets)) == (403, "invite-refused")


async def test_an_invite_lasts_a_week(running: Running, monkeypatch: Any) -> None:
    invite = await running.accounts.invite(ALICE)
    later = running.store._clock() + 7 * 86_400
    monkeypatch.setattr(running.store, "_clock", lambda: later)
    assert await register(running, invite) == "invite-refused"


async def test_guessed_invites_are_slowed(running: Running) -> None:
    codes = [await register(running, "e2i_" + letter * 32) for letter in "abcd"]
    assert codes == ["invite-refused"] * 3 + ["try-later"]


async def test_registration_leaves_nothing_behind_when_refused(running: Running) -> None:
    invite = await running.accounts.invite(ALICE)
    assert await register(running, invite, certificate=b"none") == "certificate-refused"
    assert await running.store.accounts() == []
    login = Login.invite(invite)
    await call(running, "POST", "/v1/accounts", m.AccountInfo, registration(), login)


BAD_KEYS = {
    "certificate of nothing": ("certificate-refused", {"certificate": b"\x99"}),
    "secret key as certificate": ("certificate-refused", {"certificate": identity().tsk}),
    "certificate of another key": ("statement-refused", {"certificate": identity(BOB).cert}),
    "statement of nothing": ("statement-refused", {"statement": b"{}"}),
    "statement signed by another key": (
        "statement-refused",
        {"statement": entry(signer=identity(BOB), certificates=(stated(identity()),))},
    ),
    "statement of another account": ("statement-refused", {"statement": entry(BOB)}),
    "statement with a foreign address": (
        "statement-refused",
        {"statement": entry(addresses=(ALICE, "postmaster@example.test"))},
    ),
    "statement with a second sequence": (
        "statement-refused",
        {"statement": entry(before=entry())},
    ),
    "statement naming a foreign subkey": (
        "statement-refused",
        {
            "statement": entry(
                certificates=(
                    replace(
                        stated(identity()),
                        encryption_subkeys=stated(identity(BOB)).encryption_subkeys,
                    ),
                )
            )
        },
    ),
}


@pytest.mark.parametrize("name", BAD_KEYS)
async def test_keys_are_judged(running: Running, name: str) -> None:
    expected, changes = BAD_KEYS[name]
    invite = await running.accounts.invite(ALICE)
    assert await register(running, invite, **changes) == expected


async def test_an_address_that_was_taken_meanwhile(running: Running) -> None:
    invite = await running.accounts.invite(ALICE)
    await running.store.register(NewAccount(ALICE, Policy.SEALED, None, "00"), None)
    assert await register(running, invite) == "address-taken"


async def test_two_slots_of_one_kind(running: Running) -> None:
    one = m.Slot("passphrase", 1, b"x")
    invite = await running.accounts.invite(ALICE)
    assert await register(running, invite, slots=(one, one)) == "bad-request"


# --- login refused --------------------------------------------------------------------------


async def test_existing_and_missing_user_get_the_same_octets(alice: Running) -> None:
    answers = []
    for address in (ALICE, "nobody@example.test"):
        wrong = basic(f"{address}:{'0' * 64}")
        status, headers, octets = await asyncio.to_thread(
            raw, alice, "GET", "/v1/vault", Authorization=wrong
        )
        headers.pop("date")
        answers.append((status, headers, octets))
    assert answers[0] == answers[1]
    assert answers[0][0] == 401


async def test_both_cost_one_argon2(alice: Running, monkeypatch: Any) -> None:
    from e2email_server import logins

    real, calls = logins.auth_hash.check_auth, []

    def counted(auth: bytes, stored: bytes) -> bool:
        calls.append(len(stored))
        return real(auth, stored)

    monkeypatch.setattr(logins.auth_hash, "check_auth", counted)
    for address in (ALICE, "nobody@example.test"):
        login = Login.afresh(address, bytes(32))
        assert await refused(alice, "GET", "/v1/vault", m.VaultBox, login=login) == "login-refused"
    assert len(calls) == 2
    assert calls[0] == calls[1]


async def test_login_parameters_of_nobody_look_real(alice: Running) -> None:
    asked = [m.LoginQuestion(f"{name}@example.test") for name in ("carol", "carol", "dave")]
    got = [await call(alice, "POST", "/v1/login-parameters", m.KdfParameters, one) for one in asked]
    assert got[0] == got[1]
    assert got[0].salt != got[2].salt
    assert (got[0].t, got[0].m_kib, len(got[0].salt)) == (3, 256 * 1024, 16)
    assert (
        await call(
            alice,
            "POST",
            "/v1/login-parameters",
            m.KdfParameters,
            m.LoginQuestion("CAROL@example.test"),
        )
        == got[0]
    )


async def test_a_disabled_account_is_refused_alike(alice: Running) -> None:
    account = await alice.store.account(ALICE)
    await alice.store.set_enabled(account.account_id, False)
    assert (
        await refused(alice, "GET", "/v1/vault", m.VaultBox, login=ALICE_LOGIN) == "login-refused"
    )


async def test_guessing_is_slowed_and_told(alice: Running) -> None:
    login = Login.afresh(ALICE, bytes(32))
    codes = [await refused(alice, "GET", "/v1/vault", m.VaultBox, login=login) for _ in range(5)]
    assert codes == ["login-refused"] * 3 + ["try-later"] * 2
    status, headers, _ = await asyncio.to_thread(
        raw, alice, "GET", "/v1/vault", Authorization=ALICE_LOGIN.header
    )
    assert (status, headers["retry-after"]) == (429, "1")
    alice.ticks.now += 1
    await call(alice, "GET", "/v1/vault", m.VaultBox, login=ALICE_LOGIN)


async def test_fifty_guesses_at_once_are_three(alice: Running) -> None:
    login = Login.afresh(ALICE, bytes(32))
    guesses = [refused(alice, "GET", "/v1/vault", m.VaultBox, login=login) for _ in range(20)]
    codes = await asyncio.gather(*guesses)
    assert codes.count("login-refused") == 3
    assert codes.count("try-later") == 17


BAD_LOGINS = {
    "none": {},
    "another scheme": {"Authorization": "Digest x"},
    "no base64": {"Authorization": "Basic %%%"},
    "not UTF-8": {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:").decode()},
    "no colon": {"Authorization": basic("alice")},
    "passphrase in place of auth": {"Authorization": basic(f"{ALICE}:correct horse battery")},
    "auth in upper case": {"Authorization": basic(f"{ALICE}:{split().auth.hex().upper()}")},
    "auth too long": {"Authorization": basic(f"{ALICE}:{split().auth.hex()}00")},
    "address with NUL": {"Authorization": basic(f"{ALICE}\0:{split().auth.hex()}")},
    "address of 10 KB": {"Authorization": basic(f"{'a' * 10_000}:{split().auth.hex()}")},
    "address as SQL": {"Authorization": basic(f"' OR 1=1 --:{split().auth.hex()}")},
}


@pytest.mark.parametrize("name", BAD_LOGINS)
async def test_bad_logins(alice: Running, name: str) -> None:
    status, headers, octets = await asyncio.to_thread(
        raw, alice, "GET", "/v1/vault", **BAD_LOGINS[name]
    )
    assert (status, code(octets)) == (401, "login-refused")
    assert headers["www-authenticate"].startswith("Basic")


async def test_an_address_that_nobody_can_have_is_not_remembered(alice: Running) -> None:
    """Ten thousand addresses of 12 KB would be 120 MB of memory, from peers without a login."""
    long = basic(f"{'a' * 300}:{split().auth.hex()}")
    for _ in range(5):
        status, _, _ = await asyncio.to_thread(raw, alice, "GET", "/v1/vault", Authorization=long)
        assert status == 401  # and not 429: nothing was counted


# --- what needs auth afresh -----------------------------------------------------------------


async def device(running: Running) -> Login:
    wish = m.TokenRequest("device", "laptop", m.SCOPES)
    made = await call(running, "POST", "/v1/tokens", m.NewToken, wish, ALICE_LOGIN)
    return Login.device(made.token)


async def test_a_device_token_reads_account_statements_and_state(alice: Running) -> None:
    login = await device(alice)
    assert (await call(alice, "GET", "/v1/account", m.AccountInfo, login=login)).address == ALICE
    await call(alice, "GET", "/v1/statements", m.Statements, login=login)
    await call(alice, "PUT", "/v1/state", Ok, m.StateBox(1, b"state"), login)
    assert await call(alice, "GET", "/v1/state", m.StateBox, login=login) == m.StateBox(1, b"state")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/vault"),
        ("PUT", "/v1/vault"),
        ("GET", "/v1/slots"),
        ("PUT", "/v1/slots"),
        ("POST", "/v1/statements"),
        ("PUT", "/v1/certificates"),
        ("GET", "/v1/tokens"),
        ("POST", "/v1/tokens"),
        ("DELETE", "/v1/tokens/1"),
    ],
)
async def test_a_device_token_is_not_enough(alice: Running, method: str, path: str) -> None:
    login = await device(alice)
    assert await refused(alice, method, path, Ok, login=login) == "login-needed"


async def test_an_app_password_is_no_login_here(alice: Running) -> None:
    wish = m.TokenRequest("app", "phone", ("read",))
    made = await call(alice, "POST", "/v1/tokens", m.NewToken, wish, ALICE_LOGIN)
    login = Login.device(made.token)
    assert await refused(alice, "GET", "/v1/account", m.AccountInfo, login=login) == "login-refused"


async def test_tokens_have_a_limit(alice: Running, monkeypatch: Any) -> None:
    from e2email_server.store import memory_credentials

    monkeypatch.setattr(memory_credentials, "MAX_TOKENS", 1)
    await device(alice)
    wish = m.TokenRequest("device", "second", m.SCOPES)
    assert await refused(alice, "POST", "/v1/tokens", m.NewToken, wish, ALICE_LOGIN) == "too-many"


async def test_a_removed_device_is_refused(alice: Running) -> None:
    login = await device(alice)
    (listed,) = (await call(alice, "GET", "/v1/tokens", m.Tokens, login=ALICE_LOGIN)).tokens
    await call(alice, "DELETE", f"/v1/tokens/{listed.id}", Ok, login=ALICE_LOGIN)
    assert await refused(alice, "GET", "/v1/account", m.AccountInfo, login=login) == "login-refused"
    path = f"/v1/tokens/{listed.id}"
    assert await refused(alice, "DELETE", path, Ok, login=ALICE_LOGIN) == "not-found"


# --- boxes, slots, history ------------------------------------------------------------------


async def test_vault_is_compared_and_set(alice: Running) -> None:
    await call(alice, "PUT", "/v1/vault", Ok, m.VaultBox(2, b"new"), ALICE_LOGIN)
    for version in (1, 2, 4):
        wish = m.VaultBox(version, b"late")
        assert await refused(alice, "PUT", "/v1/vault", Ok, wish, ALICE_LOGIN) == "conflict"
    got = await call(alice, "GET", "/v1/vault", m.VaultBox, login=ALICE_LOGIN)
    assert got == m.VaultBox(2, b"new")


async def test_no_state_yet(alice: Running) -> None:
    assert await refused(alice, "GET", "/v1/state", m.StateBox, login=ALICE_LOGIN) == "not-found"


async def test_passphrase_slot_changes_with_the_login(alice: Running) -> None:
    new = m.Slot("passphrase", 2, b"new slot")
    login = m.NewLogin(b"N" * 32, m.KdfParameters(4, PARAMS.m_kib, b"t" * 16))
    wish = m.NewSlot(new, login, None)
    await call(alice, "PUT", "/v1/slots", Ok, wish, ALICE_LOGIN)
    assert await refused(alice, "GET", "/v1/slots", m.Slots, login=ALICE_LOGIN) == "login-refused"
    afresh = Login.afresh(ALICE, b"N" * 32)
    assert (await call(alice, "GET", "/v1/slots", m.Slots, login=afresh)).slots == (new,)
    asked = m.LoginQuestion(ALICE)
    got = await call(alice, "POST", "/v1/login-parameters", m.KdfParameters, asked)
    assert got == login.kdf


async def test_a_lost_race_leaves_the_old_login(alice: Running) -> None:
    wish = m.NewSlot(
        m.Slot("passphrase", 3, b"x"),
        m.NewLogin(b"N" * 32, m.KdfParameters(4, PARAMS.m_kib, b"t" * 16)),
        None,
    )
    assert await refused(alice, "PUT", "/v1/slots", Ok, wish, ALICE_LOGIN) == "conflict"
    await call(alice, "GET", "/v1/slots", m.Slots, login=ALICE_LOGIN)


def slot_wishes() -> list[m.NewSlot]:
    """What belongs together and is apart."""
    login = m.NewLogin(b"N" * 32, m.KdfParameters(4, PARAMS.m_kib, b"t" * 16))
    passphrase, recovery = m.Slot("passphrase", 2, b"x"), m.Slot("recovery", 1, b"x")
    return [
        m.NewSlot(passphrase, None, None),
        m.NewSlot(passphrase, None, b"R" * 32),
        m.NewSlot(passphrase, login, b"R" * 32),
        m.NewSlot(recovery, None, None),
        m.NewSlot(recovery, login, None),
        m.NewSlot(recovery, login, b"R" * 32),
        m.NewSlot(None, None, None),
    ]


async def test_a_slot_comes_with_its_own_login_and_no_other(alice: Running) -> None:
    for wish in slot_wishes():
        assert await refused(alice, "PUT", "/v1/slots", Ok, wish, ALICE_LOGIN) == "bad-request"
    slots = (await call(alice, "GET", "/v1/slots", m.Slots, login=ALICE_LOGIN)).slots
    assert [(one.kind, one.version) for one in slots] == [("passphrase", 1)]


async def test_history_goes_on(alice: Running) -> None:
    second = entry(before=entry(), recovery_key=b"r" * 32)
    await call(alice, "POST", "/v1/statements", Ok, m.NewStatement(second), ALICE_LOGIN)
    again = await refused(alice, "POST", "/v1/statements", Ok, m.NewStatement(second), ALICE_LOGIN)
    assert again == "statement-refused"
    page = await call(alice, "GET", "/v1/statements?from=2", m.Statements, login=ALICE_LOGIN)
    assert page.statements == (second,)


async def test_certificates_and_their_statement_come_together(alice: Running) -> None:
    old, new = identity(), identity(ALICE, 2)
    both = entry(before=entry(), certificates=(stated(old), stated(new)))
    wish = m.NewCertificates(both, (old.cert, new.cert))
    await call(alice, "PUT", "/v1/certificates", Ok, wish, ALICE_LOGIN)
    third = entry(before=both, signer=new, certificates=(stated(new),))
    alone = m.NewCertificates(third, (new.cert,))
    await call(alice, "PUT", "/v1/certificates", Ok, alone, ALICE_LOGIN)
    stored = await alice.store.recipient(ALICE)
    assert [one.octets for one in stored.certificates] == [new.cert]
    assert stored.statement is not None
    assert stored.statement.sequence == 3


async def test_a_stranger_key_does_not_sign_the_next_entry(alice: Running) -> None:
    stranger = identity(ALICE, 2)
    forged = entry(before=entry(), signer=stranger, certificates=(stated(stranger),))
    wish = m.NewCertificates(forged, (stranger.cert,))
    got = await refused(alice, "PUT", "/v1/certificates", Ok, wish, ALICE_LOGIN)
    assert got == "statement-refused"


async def test_a_statement_lists_what_is_published(alice: Running) -> None:
    both = entry(before=entry(), certificates=(stated(identity()), stated(identity(ALICE, 2))))
    wish = m.NewCertificates(both, (identity().cert,))
    got = await refused(alice, "PUT", "/v1/certificates", Ok, wish, ALICE_LOGIN)
    assert got == "statement-refused"


@pytest.mark.parametrize("first", ["0", "-1", "x", "1e3", "9" * 40, "%00", "²"])
async def test_bad_page(alice: Running, first: str) -> None:
    from urllib.parse import quote

    path = f"/v1/statements?from={quote(first, safe='%')}"
    assert await refused(alice, "GET", path, m.Statements, login=ALICE_LOGIN) == "bad-request"


# --- logins of mail programs ----------------------------------------------------------------


async def test_check_login(alice: Running) -> None:
    from e2email_server.logins import LoginRefused

    wish = m.TokenRequest("app", "phone", ("read", "send"))
    made = await call(alice, "POST", "/v1/tokens", m.NewToken, wish, ALICE_LOGIN)
    who = await alice.logins.check_login(ALICE.upper(), made.token, "192.0.2.1")
    assert (who.account.address, who.kind, who.scopes) == (ALICE, "app", {"read", "send"})
    await alice.register(BOB)
    refusals = [
        (ALICE, split().auth.hex()),  # auth never opens a mailbox
        (BOB, made.token),
        ("nobody@example.test", made.token),
        (ALICE, made.token + "x"),
        (ALICE, ""),
        ("", made.token),
    ]
    for n, (address, secret) in enumerate(refusals):
        with pytest.raises(LoginRefused):
            await alice.logins.check_login(address, secret, f"198.51.100.{n}")


async def test_ten_connections_of_one_program_log_in_at_once(alice: Running) -> None:
    wish = m.TokenRequest("app", "phone", ("read",))
    made = await call(alice, "POST", "/v1/tokens", m.NewToken, wish, ALICE_LOGIN)
    logins = [alice.logins.check_login(ALICE, made.token, "192.0.2.1") for _ in range(10)]
    assert len(await asyncio.gather(*logins)) == 10


async def test_wrong_tokens_are_slowed(alice: Running) -> None:
    from e2email_server.logins import LoginRefused, TryLater

    for expected in (LoginRefused, LoginRefused, LoginRefused, TryLater):
        with pytest.raises(expected):
            await alice.logins.check_login(ALICE, "e2a_wrong", "192.0.2.1")


# --- hostile requests -----------------------------------------------------------------------


async def test_wrong_type_is_refused(running: Running) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        status, _, octets = await asyncio.to_thread(
            raw, running, "POST", "/v1/login-parameters", b"{}", Content_Type=kind
        )
        assert (status, code(octets)) == (415, "other-type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 1000,
        b'{"address":1}',
        b'{"address":"a@b","x":1}',
        b"\xff",
    ],
    ids=range(8),
)
async def test_hostile_json(running: Running, body: bytes) -> None:
    status, _, octets = await asyncio.to_thread(
        raw, running, "POST", "/v1/login-parameters", body, Content_Type="application/json"
    )
    assert (status, code(octets)) == (400, "bad-request")


async def test_declared_size_is_refused_before_reading(running: Running) -> None:
    status, _, octets = await asyncio.to_thread(
        raw, running, "POST", "/v1/login-parameters", b"{}",
        Content_Type="application/json", Content_Length="999999999999",
    )  # fmt: skip
    assert (status, code(octets)) == (413, "too-large")


async def test_undeclared_size_is_cut_off(running: Running) -> None:
    import socket

    context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
    context.check_hostname = False

    def flood() -> bytes:
        with socket.create_connection(("127.0.0.1", running.server.port), 20) as plain:
            secure = context.wrap_socket(plain)
            secure.sendall(
                b"POST /v1/login-parameters HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            )
            try:
                for _ in range(64):
                    secure.sendall(b"10000\r\n" + b" " * 65536 + b"\r\n")
            except OSError:
                return b"cut"
            return secure.recv(100)

    got = await asyncio.to_thread(flood)
    assert got == b"cut" or b" 413 " in got


async def test_a_slow_body_ends(running: Running, monkeypatch: Any) -> None:
    import socket

    from e2email_server.api import request

    monkeypatch.setattr(request, "BODY_SECONDS", 0.2)
    context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
    context.check_hostname = False

    def dawdle() -> bytes:
        with socket.create_connection(("127.0.0.1", running.server.port), 20) as plain:
            secure = context.wrap_socket(plain)
            secure.sendall(
                b"POST /v1/login-parameters HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            return secure.recv(100)

    assert b" 408 " in await asyncio.to_thread(dawdle)


async def test_a_silent_connection_is_closed(monkeypatch: Any) -> None:
    import socket

    from e2email_server.api import listen

    monkeypatch.setattr(listen, "PATIENCE_SECONDS", 0.1)
    async with account_server() as running:
        context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
        context.check_hostname = False

        def wait(sent: bytes) -> bytes:
            with socket.create_connection(("127.0.0.1", running.server.port), 20) as plain:
                secure = context.wrap_socket(plain)
                secure.sendall(sent)
                try:
                    return secure.recv(100)
                except OSError:
                    return b""

        assert await asyncio.to_thread(wait, b"") == b""
        assert await asyncio.to_thread(wait, b"GET /v1/server HTTP/1.1\r\nHost:") == b""
        # a server that answers is still there
        assert await asyncio.to_thread(wait, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_peer_has_so_many_connections(monkeypatch: Any) -> None:
    import socket

    from e2email_server.api import listen

    monkeypatch.setattr(listen, "CONNECTIONS_A_PEER", 3)
    async with account_server() as running:
        context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
        context.check_hostname = False

        def many() -> list[bool]:
            kept, alive = [], []
            for _ in range(5):
                secure = context.wrap_socket(
                    socket.create_connection(("127.0.0.1", running.server.port), 20)
                )
                kept.append(secure)
                try:
                    secure.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                    alive.append(secure.recv(100) != b"")
                except OSError:
                    alive.append(False)
            for secure in kept:
                secure.close()
            return alive

        assert await asyncio.to_thread(many) == [True, True, True, False, False]


def test_a_peer_is_a_whole_network_of_ipv6() -> None:
    from e2email_server.api.listen import source

    assert source(("2001:db8:1:2::1", 443)) == source(("2001:db8:1:2:ffff::9", 444))
    assert source(("2001:db8:1:3::1", 443)) != source(("2001:db8:1:2::1", 443))
    assert source(("192.0.2.1", 1)) != source(("192.0.2.2", 1))


async def test_unknown_paths_and_methods(running: Running) -> None:
    status, _, octets = await asyncio.to_thread(raw, running, "GET", "/v1/../../etc/passwd")
    assert (status, code(octets)) == (404, "not-found")
    status, headers, octets = await asyncio.to_thread(raw, running, "PATCH", "/v1/vault")
    assert (status, code(octets)) == (405, "method-not-allowed")
    assert "PUT" in headers["allow"]


async def test_no_answer_may_be_kept(running: Running) -> None:
    for path in ("/v1/server", "/v1/vault", "/nowhere"):
        _, headers, _ = await asyncio.to_thread(raw, running, "GET", path)
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


async def test_a_broken_store_is_a_bland_503(alice: Running, monkeypatch: Any) -> None:
    async def fail(*_: object) -> None:
        raise StoreFailed("disk I/O error at /var/lib/CANARY")

    monkeypatch.setattr(alice.store, "boxes", fail)
    status, _, octets = await asyncio.to_thread(
        raw, alice, "GET", "/v1/slots", Authorization=ALICE_LOGIN.header
    )
    assert (status, code(octets)) == (503, "unavailable")
    assert b"CANARY" not in octets


async def test_an_unforeseen_error_tells_nobody_its_text(
    alice: Running, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "CANARY"  # apart from the line that raises, which a traceback quotes

    async def fail(*_: object) -> None:
        raise ZeroDivisionError(secret)

    monkeypatch.setattr(alice.store, "boxes", fail)
    status, _, octets = await asyncio.to_thread(
        raw, alice, "GET", "/v1/slots", Authorization=ALICE_LOGIN.header
    )
    assert (status, code(octets)) == (500, "internal")
    assert b"CANARY" not in octets
    assert "CANARY" not in caplog.text
    assert "ZeroDivisionError" in caplog.text
