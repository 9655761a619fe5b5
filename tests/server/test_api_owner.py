"""The recovery login, custody, the account key and pairings over the account API."""

import asyncio
import http.client
import itertools
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from e2email_client.api import Login
from e2email_client.failure import Refused
from e2email_crypto import auth
from e2email_protocol import account as m
from e2email_server.api import app
from e2email_server.logins import LoginRefused
from support.account_server import (
    ALICE,
    BOB,
    PARAMS,
    Ok,
    Running,
    account_server,
    registration,
    split,
)

AFRESH = Login.afresh(ALICE, split().auth)
R, OTHER_R = b"\xab" * 32, b"\xcd" * 32
NEW_LOGIN = m.NewLogin(b"N" * 32, m.KdfParameters(4, PARAMS.m_kib, b"t" * 16))
SLOTS = (m.Slot("passphrase", 1, b"passphrase slot"), m.Slot("recovery", 1, b"recovery slot"))


def by_recovery(shown: bytes = R) -> Login:
    return Login.device("e2r_" + shown.hex())


@pytest.fixture
async def alice() -> AsyncIterator[Running]:
    """A server on which alice is registered, with a recovery secret."""
    async with account_server() as running:
        await running.register(recovery=R, slots=SLOTS)
        yield running


async def call(running: Running, *arguments: Any, **options: Any) -> Any:
    return await asyncio.to_thread(running.api.call, *arguments, **options)


async def refused(running: Running, *arguments: Any, **options: Any) -> str:
    with pytest.raises(Refused) as caught:
        await call(running, *arguments, **options)
    return caught.value.code


async def info(running: Running, login: Login = AFRESH) -> m.AccountInfo:
    found: m.AccountInfo = await call(running, "GET", "/v1/account", m.AccountInfo, login=login)
    return found


async def put(running: Running, path: str, wish: Any, login: Login | None = None) -> None:
    """By the recovery secret unless told otherwise: no Argon2id."""
    await call(running, "PUT", path, Ok, wish, login or by_recovery())


# --- the recovery secret --------------------------------------------------------------------


async def test_the_recovery_secret_opens_everything(alice: Running) -> None:
    vault = await call(alice, "GET", "/v1/vault", m.VaultBox, login=by_recovery())
    assert vault.vault == registration().vault
    slots = (await call(alice, "GET", "/v1/slots", m.Slots, login=by_recovery())).slots
    assert slots == SLOTS
    # a forgotten passphrase is replaced
    new = m.NewSlot(m.Slot("passphrase", 2, b"new"), NEW_LOGIN, None)
    await put(alice, "/v1/slots", new, by_recovery())
    assert (await info(alice, Login.afresh(ALICE, b"N" * 32))).recovery


async def test_registration_tells_what_it_stored(alice: Running) -> None:
    versions = (m.SlotVersion("passphrase", 1), m.SlotVersion("recovery", 1))
    assert await info(alice) == m.AccountInfo(ALICE, 1, 1, 0, versions, True)


@pytest.mark.parametrize("wrong", [OTHER_R, split().auth, bytes(32)])
async def test_another_recovery_secret_opens_nothing(alice: Running, wrong: bytes) -> None:
    answer = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=by_recovery(wrong))
    assert answer == "login-refused"


async def test_secrets_are_not_taken_for_each_other(alice: Running) -> None:
    """Neither R as a passphrase's auth, nor either of them as a token of a mail program."""
    answer = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=Login.afresh(ALICE, R))
    assert answer == "login-refused"
    for secret in ("e2r_" + R.hex(), split().auth.hex()):
        with pytest.raises(LoginRefused):
            await alice.logins.check_login(ALICE, secret, "192.0.2.1")


async def test_guesses_of_recovery_secrets_are_slowed(alice: Running) -> None:
    codes = [
        await refused(
            alice, "GET", "/v1/account", m.AccountInfo, login=by_recovery(bytes([n]) * 32)
        )
        for n in range(4)
    ]
    assert codes == ["login-refused"] * 3 + ["try-later"]
    late = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=by_recovery())
    assert late == "try-later"
    alice.ticks.now += 3600
    await info(alice, by_recovery())


async def test_a_disabled_account_is_not_recovered(alice: Running) -> None:
    account = await alice.store.account(ALICE)
    await alice.store.set_enabled(account.account_id, False)
    answer = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=by_recovery())
    assert answer == "login-refused"


async def test_the_recovery_secret_is_replaced_with_its_slot(alice: Running) -> None:
    late = m.NewSlot(m.Slot("recovery", 3, b"new"), None, OTHER_R)
    assert await refused(alice, "PUT", "/v1/slots", Ok, late, AFRESH) == "conflict"
    await info(alice, by_recovery())
    await put(alice, "/v1/slots", m.NewSlot(m.Slot("recovery", 2, b"new"), None, OTHER_R))
    await info(alice, by_recovery(OTHER_R))
    old = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=by_recovery())
    assert old == "login-refused"
    assert (await call(alice, "GET", "/v1/slots", m.Slots, login=AFRESH)).slots == (
        SLOTS[0],
        m.Slot("recovery", 2, b"new"),
    )


UNFIT = {
    "slots without vault": {"vault": None, "slots": SLOTS, "recovery": R},
    "vault without slots": {"slots": (), "recovery": R},
    "recovery slot without recovery": {"slots": SLOTS},
    "recovery without its slot": {"slots": SLOTS[:1], "recovery": R},
    "a slot twice": {"slots": (*SLOTS, SLOTS[0]), "recovery": R},
}


@pytest.mark.parametrize("name", UNFIT)
async def test_what_does_not_belong_together_is_not_registered(name: str) -> None:
    async with account_server() as running:
        login = Login.invite(await running.accounts.invite(ALICE))
        wish = registration(**UNFIT[name])
        answer = await refused(running, "POST", "/v1/accounts", m.AccountInfo, wish, login)
        assert answer == "bad-request"
        assert await running.store.accounts() == []


# --- custody --------------------------------------------------------------------------------


async def test_paranoid_custody_leaves_the_logins(alice: Running) -> None:
    for path in ("/v1/vault", "/v1/slots", "/v1/vault", "/v1/slots"):  # twice: a lost answer
        await call(alice, "DELETE", path, Ok, login=by_recovery())
    assert await info(alice) == m.AccountInfo(ALICE, 1, 0, 0, (), True)
    assert await info(alice, by_recovery()) == await info(alice)
    assert await refused(alice, "GET", "/v1/vault", m.VaultBox, login=AFRESH) == "not-found"
    assert (await call(alice, "GET", "/v1/slots", m.Slots, login=AFRESH)).slots == ()


async def test_and_back(alice: Running) -> None:
    for path in ("/v1/vault", "/v1/slots"):
        await call(alice, "DELETE", path, Ok, login=AFRESH)
    await put(alice, "/v1/vault", m.VaultBox(1, b"back"))
    await put(alice, "/v1/slots", m.NewSlot(SLOTS[0], NEW_LOGIN, None), by_recovery())
    login = Login.afresh(ALICE, b"N" * 32)
    await put(alice, "/v1/slots", m.NewSlot(SLOTS[1], None, OTHER_R), login)
    slots = (m.SlotVersion("passphrase", 1), m.SlotVersion("recovery", 1))
    assert await info(alice, by_recovery(OTHER_R)) == m.AccountInfo(ALICE, 1, 1, 0, slots, True)


async def test_a_paranoid_account_is_born_so() -> None:
    async with account_server() as running:
        await running.register(vault=None, slots=(), recovery=R)
        assert await info(running, by_recovery()) == m.AccountInfo(ALICE, 1, 0, 0, (), True)


async def test_logins_change_without_slots_where_none_are(alice: Running) -> None:
    wishes = m.NewSlot(None, NEW_LOGIN, None), m.NewSlot(None, None, OTHER_R)
    both = m.NewSlot(None, NEW_LOGIN, OTHER_R)
    for wish in (*wishes, both):
        # else the slot that is there would open with what logs in no more
        assert await refused(alice, "PUT", "/v1/slots", Ok, wish, AFRESH) == "conflict"
    await call(alice, "DELETE", "/v1/slots", Ok, login=AFRESH)
    await put(alice, "/v1/slots", both)
    await info(alice, by_recovery(OTHER_R))
    await info(alice, Login.afresh(ALICE, b"N" * 32))
    for old in (AFRESH, by_recovery()):
        answer = await refused(alice, "GET", "/v1/account", m.AccountInfo, login=old)
        assert answer == "login-refused"


# --- the account key ------------------------------------------------------------------------


def another_key(**changes: Any) -> m.NewAccountKey:
    """All that is stored, under another key."""
    values: dict[str, Any] = {
        "vault": m.VaultBox(2, b"vault anew"),
        "state": None,
        "slots": tuple(m.Slot(one.kind, 2, b"anew") for one in SLOTS),
        "login": None,
        "recovery": None,
    }
    return m.NewAccountKey(**(values | changes))


async def standing(running: Running) -> list[Any]:
    """Whatever may not change when a request is refused."""
    account = await running.store.account(ALICE)
    boxes = await running.store.boxes(account.account_id)
    return [account, boxes, await info(running, by_recovery())]


async def test_everything_under_the_account_key_changes_at_once(alice: Running) -> None:
    await put(alice, "/v1/state", m.StateBox(1, b"state"))
    wish = another_key(state=m.StateBox(2, b"state anew"), login=NEW_LOGIN, recovery=OTHER_R)
    await put(alice, "/v1/account-key", wish)
    login = Login.afresh(ALICE, b"N" * 32)
    assert await call(alice, "GET", "/v1/vault", m.VaultBox, login=login) == wish.vault
    assert await call(alice, "GET", "/v1/state", m.StateBox, login=login) == wish.state
    assert (await call(alice, "GET", "/v1/slots", m.Slots, login=login)).slots == wish.slots
    await info(alice, by_recovery(OTHER_R))


async def test_logins_that_are_not_named_stay(alice: Running) -> None:
    await put(alice, "/v1/account-key", another_key(), by_recovery())
    await info(alice, AFRESH)
    await info(alice, by_recovery())


LATE = {
    "an older vault": {"vault": m.VaultBox(1, b"v")},
    "a vault too new": {"vault": m.VaultBox(3, b"v")},
    "no vault, and one is stored": {"vault": None},
    "a state that is not stored": {"state": m.StateBox(2, b"s")},
    "an older slot": {"slots": (m.Slot("passphrase", 2, b"x"), m.Slot("recovery", 1, b"x"))},
    "a slot forgotten": {"slots": (m.Slot("passphrase", 2, b"x"),)},
    "no slot": {"slots": ()},
}


@pytest.mark.parametrize("name", LATE)
async def test_a_lost_race_for_the_account_key_changes_nothing(alice: Running, name: str) -> None:
    before = await standing(alice)
    wish = another_key(login=NEW_LOGIN, recovery=OTHER_R, **LATE[name])
    assert await refused(alice, "PUT", "/v1/account-key", Ok, wish, by_recovery()) == "conflict"
    assert await standing(alice) == before


async def test_a_state_stored_meanwhile_is_not_left_under_the_old_key(alice: Running) -> None:
    await put(alice, "/v1/state", m.StateBox(1, b"by another device"))
    wish = another_key()
    assert await refused(alice, "PUT", "/v1/account-key", Ok, wish, by_recovery()) == "conflict"


async def test_a_slot_twice_is_no_account_key(alice: Running) -> None:
    before = await standing(alice)
    wish = another_key(slots=(m.Slot("passphrase", 2, b"x"),) * 2)
    assert await refused(alice, "PUT", "/v1/account-key", Ok, wish, by_recovery()) == "bad-request"
    assert await standing(alice) == before


async def test_of_two_devices_that_replace_the_key_one_wins(alice: Running) -> None:
    async def attempt(number: int) -> str:
        mine = tuple(m.Slot(one.kind, 2, b"of %d" % number) for one in SLOTS)
        wish = another_key(vault=m.VaultBox(2, b"of %d" % number), slots=mine)
        try:
            await put(alice, "/v1/account-key", wish)
        except Refused as refusal:
            return refusal.code
        return "replaced"

    outcomes = await asyncio.gather(*(attempt(number) for number in range(3)))
    assert sorted(outcomes) == ["conflict", "conflict", "replaced"]
    winner = b"of %d" % outcomes.index("replaced")
    vault = await call(alice, "GET", "/v1/vault", m.VaultBox, login=by_recovery())
    slots = (await call(alice, "GET", "/v1/slots", m.Slots, login=by_recovery())).slots
    assert {vault.vault, *(one.wrapped for one in slots)} == {winner}


async def test_large_bodies_of_one_account_are_taken_one_by_one(
    alice: Running, monkeypatch: Any
) -> None:
    going, most, real = [0], [0], app.read

    async def read(*arguments: Any) -> Any:
        going[0] += 1
        most[0] = max(most[0], going[0])
        await asyncio.sleep(0.02)
        going[0] -= 1
        return await real(*arguments)

    monkeypatch.setattr(app, "read", read)
    states = (m.StateBox(1, bytes(100_000)) for _ in range(6))
    pushed = (put(alice, "/v1/state", state) for state in states)
    said = await asyncio.gather(*pushed, return_exceptions=True)
    assert [one for one in said if one is None] == [None]
    assert most == [1]


async def test_the_state_has_its_quota(alice: Running) -> None:
    full = m.StateBox(1, bytes(m.STATE_CAP))
    await put(alice, "/v1/state", full)
    above = m.StateBox(2, bytes(m.STATE_CAP + 1))
    assert await refused(alice, "PUT", "/v1/state", Ok, above, by_recovery()) == "bad-request"
    for path in ("/v1/state", "/v1/vault"):
        huge = m.StateBox(2, bytes(m.STATE_REQUEST_CAP))
        assert await refused(alice, "PUT", path, Ok, huge, by_recovery()) == "too-large"
    wish = another_key(state=m.StateBox(2, bytes(m.STATE_CAP)))
    await put(alice, "/v1/account-key", wish)
    assert (await call(alice, "GET", "/v1/state", m.StateBox, login=by_recovery())) == wish.state


# --- pairing --------------------------------------------------------------------------------

PAIRING = "/v1/pairings/" + "0a" * 32


def pairing(running: Running, seconds: int = 600) -> m.NewPairing:
    return m.NewPairing(running.store._clock() + seconds, b"for the new device")


async def take(running: Running, path: str = PAIRING) -> bytes:
    got: m.PairingMessage = await call(running, "POST", path, m.PairingMessage)
    return got.message


async def test_a_pairing_is_given_once_to_whoever_knows_its_id(alice: Running) -> None:
    await put(alice, PAIRING, pairing(alice))
    assert await take(alice) == b"for the new device"
    assert await refused(alice, "POST", PAIRING, m.PairingMessage) == "not-found"


async def test_of_many_at_once_one_gets_it(alice: Running) -> None:
    await put(alice, PAIRING, pairing(alice))
    answers = await asyncio.gather(*(take(alice) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, bytes) for one in answers) == 1


async def test_an_expired_pairing_is_not_given(alice: Running, monkeypatch: Any) -> None:
    await put(alice, PAIRING, pairing(alice))
    later = alice.store._clock() + 600
    monkeypatch.setattr(alice.store, "_clock", lambda: later)
    assert await refused(alice, "POST", PAIRING, m.PairingMessage) == "not-found"
    assert alice.store._pairings == {}


@pytest.mark.parametrize("seconds", [0, -600, m.PAIRING_SECONDS + 60])
async def test_a_pairing_is_for_now(alice: Running, seconds: int) -> None:
    wish = pairing(alice, seconds)
    assert await refused(alice, "PUT", PAIRING, Ok, wish, by_recovery()) == "bad-request"


async def test_an_account_has_few_pairings(alice: Running) -> None:
    await alice.register(BOB)
    names = [PAIRING[:-1] + str(number) for number in range(m.PAIRINGS_CAP)]
    for path in (*names, names[0]):
        await put(alice, path, pairing(alice))
    wish = pairing(alice)
    assert await refused(alice, "PUT", PAIRING, Ok, wish, by_recovery()) == "too-many"
    # somebody else's id tells nothing and takes nothing
    bob = Login.afresh(BOB, split(BOB).auth)
    assert await refused(alice, "PUT", names[0], Ok, wish, bob) == "conflict"
    assert await take(alice, names[0])
    await put(alice, PAIRING, wish)


async def test_guessed_pairings_are_slowed(alice: Running) -> None:
    await put(alice, PAIRING, pairing(alice))
    codes = [
        await refused(alice, "POST", PAIRING[:-1] + letter, m.PairingMessage) for letter in "bcdef"
    ]
    assert codes == ["not-found"] * 3 + ["try-later"] * 2
    assert await refused(alice, "POST", PAIRING, m.PairingMessage) == "try-later"
    alice.ticks.now += 3600
    assert await take(alice)


@pytest.mark.parametrize("name", ["0", "0a" * 16, "0A" * 32, "g" * 64, "0a" * 33, "%00" * 64])
async def test_an_id_is_hexadecimal(alice: Running, name: str) -> None:
    answer = await refused(alice, "POST", "/v1/pairings/" + name, m.PairingMessage)
    assert answer == "bad-request"


async def test_a_message_above_its_cap(alice: Running) -> None:
    wish = m.NewPairing(alice.store._clock() + 600, bytes(m.PAIRING_CAP + 1))
    assert await refused(alice, "PUT", PAIRING, Ok, wish, by_recovery()) == "bad-request"


# --- who may do what ------------------------------------------------------------------------

OWNER = [
    ("GET", "/v1/vault"),
    ("PUT", "/v1/vault"),
    ("DELETE", "/v1/vault"),
    ("GET", "/v1/slots"),
    ("PUT", "/v1/slots"),
    ("DELETE", "/v1/slots"),
    ("PUT", "/v1/account-key"),
    ("PUT", PAIRING),
    ("POST", "/v1/statements"),
    ("PUT", "/v1/certificates"),
    ("PUT", "/v1/revocation"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/999"),
]
DEVICE = [
    ("GET", "/v1/account"),
    ("GET", "/v1/state"),
    ("PUT", "/v1/state"),
    ("GET", "/v1/statements"),
    ("GET", "/v1/autoconfig"),
    ("PUT", "/v1/autoconfig"),
]
# What is answered to a login that is good enough and a request that has nothing in it.
ADMITTED = {"bad-request", "not-found", None}


class Door:
    """One connection for many requests: a handshake for each would take most of the time."""

    def __init__(self, running: Running) -> None:
        context = ssl.create_default_context(cadata=running.ca.cert_pem.bytes().decode())
        context.check_hostname = False
        self._running = running
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", running.server.port, context=context, timeout=20
        )

    async def outcome(self, method: str, path: str, login: Login | None) -> str | None:
        """The code, None for success; no attempt of before slows this one."""
        self._running.ticks.now += 3600
        return await asyncio.to_thread(self._exchange, method, path, login)

    def _exchange(self, method: str, path: str, login: Login | None) -> str | None:
        headers = {"Content-Type": "application/json"}
        if login is not None:
            headers["Authorization"] = login.header
        self._connection.request(method, path, headers=headers)
        reply = self._connection.getresponse()
        answer = json.loads(reply.read())
        return None if reply.status < 400 else str(answer["error"])

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def door(alice: Running) -> Iterator[Door]:
    made = Door(alice)
    yield made
    made.close()


async def logins(running: Running) -> dict[str, Login | None]:
    account = await running.store.account(ALICE)
    device, app = [
        (await running.accounts.new_token(account, m.TokenRequest(kind, "x", ("read",)))).token
        for kind in (m.DEVICE, m.APP)
    ]
    return {
        "none": None,
        "passphrase": AFRESH,
        "recovery": by_recovery(),
        "device": Login.device(device),
        "app password": Login.device(app),
        "invite": Login.invite(await running.accounts.invite(BOB)),
        "replacing invite": Login.invite(await running.accounts.invite(ALICE, replace=True)),
        "arrival key": Login.device("e2r_" + running.arrival.public.hex()),
    }


async def test_every_path_and_every_login(alice: Running, door: Door, monkeypatch: Any) -> None:
    right = split().auth
    monkeypatch.setattr(auth, "check_auth", lambda given, _stored: given == right)  # quick
    known = await logins(alice)
    for (method, path), name in itertools.product(OWNER + DEVICE, known):
        if method == "DELETE" and path != "/v1/tokens/999":
            continue  # would take away what the others look at; below
        got = await door.outcome(method, path, known[name])
        if name in {"passphrase", "recovery"}:
            expected = ADMITTED
        elif name == "device":
            expected = ADMITTED if (method, path) in DEVICE else {"login-needed"}
        elif "invite" in name and (method, path) == ("GET", "/v1/statements"):
            expected = {None}
        elif name in {"none", "arrival key"}:
            expected = {"login-refused"}
        else:
            expected = {"login-refused"} if (method, path) in DEVICE else {"login-needed"}
        assert got in expected, (method, path, name)
    for name, path in itertools.product(known, ("/v1/vault", "/v1/slots")):
        if name not in {"passphrase", "recovery"}:
            assert await door.outcome("DELETE", path, known[name]) in {
                "login-refused",
                "login-needed",
            }
    assert (await info(alice)).vault_version == 1


async def test_only_a_device_is_told_that_it_needs_more(door: Door) -> None:
    """`e2r_` with something else behind it is a wrong recovery secret, not a device."""
    for text in ("e2r_", "e2r_zz", "e2r_" + R.hex().upper(), "e2r_" + R.hex() + "00"):
        assert await door.outcome("GET", "/v1/vault", Login.device(text)) == "login-refused"
