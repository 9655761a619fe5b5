"""A server that fails, hangs up or lies at any request of a change: the account opens, it can be
said again, and nothing is lost."""

import asyncio
import contextlib
import copy
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2email_client import custody, devices, own_keys, pairing
from e2email_client.account import create
from e2email_client.account_key import new_key, new_passphrase, new_recovery, recovery_in_force
from e2email_client.api import AccountApi
from e2email_client.changing import Change
from e2email_client.failure import (
    BadServer,
    ClientError,
    LocalFault,
    Offline,
    Refused,
    WrongSecret,
)
from e2email_client.joining import accept, recover
from e2email_client.shared_state import SharedState
from e2email_client.stores import open_stores
from e2email_client.unlock import Unlocked
from e2email_crypto import kdf
from e2email_crypto.keyedit import Reason
from e2email_crypto.statement import Policy
from e2email_crypto.vault import Custody
from e2email_protocol.account import Refusal
from support.account_server import ALICE, PARAMS, PASSPHRASE, Running, account_server
from support.owner import Machine

OTHER = "seven umbrellas on Thursday"
ROWS = ("_people", "_invites", "_tokens", "_pairings", "_mailboxes", "_former", "_last")
Real = Callable[[], tuple[int, bytes]]
Fault = Callable[[Real], tuple[int, bytes]]


def now() -> int:
    return int(time.time())


def cheap() -> kdf.Params:
    return kdf.Params(kdf.T_MIN, kdf.M_KIB_MIN, os.urandom(16))


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


# --- what is done -----------------------------------------------------------------------------


@dataclass
class World:
    """An account on a machine, with what a change of it needs."""

    machine: Machine
    other: Machine
    clean: Machine
    code: bytes = b""
    secret: bytes = b""


def changed(work: Callable[[Change], Any]) -> Callable[[World], Any]:
    """On the machine, with whichever passphrase the server takes."""

    async def run(world: World) -> None:
        try:
            await world.machine.change(work)
        except WrongSecret:
            world.machine.running.ticks.now += 7200
            other = OTHER if world.machine.passphrase == PASSPHRASE else PASSPHRASE
            world.machine.passphrase = other
            await world.machine.change(work)

    return run


def revoked_device(change: Change) -> None:
    api, login = change.api, change.login
    tokens = devices.fetch_tokens(api, login)
    every = devices.every(tokens, change.statement, {}, None)
    key = change.device and change.device.key
    gone = [one for one in every if one.name == "two"]
    gone += [
        one for one in every
        if key is not None and one.key not in (None, devices.key_id(key.public))
    ]  # fmt: skip
    devices.give_up(change, gone, now())


async def paired(world: World) -> None:
    """On the new machine; where the words are used up, the other one makes new ones."""
    try:
        await asyncio.to_thread(accept, world.clean.wish, world.code, now())
    except WrongSecret:
        made = await world.machine.change(lambda one: pairing.offer(one, "one", "new", now()))
        await asyncio.to_thread(accept, world.clean.wish, made[1].code, now())


async def set_up(world: World) -> None:
    """As a person does: the invite again, and without it where that was used."""
    machine, invite = world.clean, world.code.decode()
    try:
        args = machine.wish, invite, "Alice", Policy.SEALED, now(), PARAMS
        await asyncio.to_thread(create, *args)
    except Refused as refused:
        if refused.code != "invite-refused":
            raise
        await machine.join(now())


async def recovered(world: World) -> None:
    world.clean.passphrase = OTHER
    await asyncio.to_thread(recover, world.clean.wish, world.secret, now(), cheap())


async def joined(world: World) -> None:
    await world.clean.join(now())


CHANGES: dict[str, tuple[str, Callable[[World], Any]]] = {
    "rotate": ("machine", changed(lambda one: own_keys.rotate(one, now()))),
    "new key": ("machine", changed(lambda one: own_keys.new(one, "A", "compat", now()))),
    "extend": ("machine", changed(lambda one: own_keys.extend(one, None, now()))),
    "revoke": ("machine", changed(lambda one: own_keys.revoke(one, Reason.COMPROMISED, now()))),
    "passphrase": ("machine", changed(lambda one: new_passphrase(one, OTHER, cheap()))),
    "rekey": ("machine", changed(lambda one: new_key(one, PASSPHRASE, cheap()))),
    "paranoid": (
        "machine",
        changed(lambda one: custody.move(one, Custody.PARANOID, PASSPHRASE, cheap())),
    ),
    "cautious": (
        "paranoid",
        changed(lambda one: custody.move(one, Custody.CAUTIOUS, PASSPHRASE, cheap())),
    ),
    "words": ("machine", changed(lambda one: new_recovery(one, os.urandom(16), now()))),
    "device pair": ("machine", changed(lambda one: pairing.offer(one, "one", "new", now()))),
    "device revoke": ("two", changed(revoked_device)),
    "refresh": ("two", changed(lambda one: None)),
    "setup": ("nobody", set_up),
    "setup pair": ("offered", paired),
    "join": ("machine", joined),
    "recover": ("machine", recovered),
    "rotate in paranoid": ("paranoid", changed(lambda one: own_keys.rotate(one, now()))),
    "passphrase in paranoid": (
        "paranoid",
        changed(lambda one: new_passphrase(one, OTHER, cheap())),
    ),
    "rekey in paranoid": ("paranoid", changed(lambda one: new_key(one, PASSPHRASE, cheap()))),
    "words in paranoid": (
        "paranoid",
        changed(lambda one: new_recovery(one, os.urandom(16), now())),
    ),
}
ON_CLEAN = {"setup", "setup pair", "join", "recover"}


async def made(running: Running, kind: str, folder: Path) -> World:
    """The world that a change begins in."""
    machine = Machine(running, folder / "one")
    world = World(machine, Machine(running, folder / "two"), Machine(running, folder / "clean"))
    if kind == "nobody":
        world.code = (await running.accounts.invite(ALICE)).encode()
        return world
    await machine.create()
    await asyncio.to_thread(with_state, machine.unlocked)
    secret = machine.unlocked.vault.recovery
    assert secret is not None
    world.secret = secret
    if kind == "paranoid":
        move = changed(lambda one: custody.move(one, Custody.PARANOID, PASSPHRASE, cheap()))
        await move(world)
    if kind == "two":
        await world.other.join(now())
    if kind == "offered":
        done = await machine.change(lambda one: pairing.offer(one, "one", "new", now()))
        world.code = done[1].code
    return world


def with_state(here: Unlocked) -> None:
    with open_stores(here) as stores:
        state = SharedState(here, stores.state)
        state.put("settings", "kept", "yes", now())
        state.sync(AccountApi(here.server), here.login)


# --- what goes wrong --------------------------------------------------------------------------


def refusal(code: str) -> bytes:
    return Refusal(code, "The server failed.").encode()


def lost(real: Real) -> tuple[int, bytes]:
    real()
    raise Offline("gone")


def cut(_: Real) -> tuple[int, bytes]:
    raise Offline("gone")


def done_500(real: Real) -> tuple[int, bytes]:
    real()
    return 500, refusal("internal")


def failed_500(_: Real) -> tuple[int, bytes]:
    return 500, refusal("internal")


def asked_twice(real: Real) -> tuple[int, bytes]:
    """As a reverse proxy does that lost the answer: of a PUT it may."""
    real()
    return real()


def nonsense(real: Real) -> tuple[int, bytes]:
    real()
    return 200, b"<html>"


FAULTS: dict[str, Fault] = {
    one.__name__: one for one in (lost, cut, done_500, failed_500, asked_twice, nonsense)
}


class Wire:
    """Requests in order; one of them goes wrong."""

    def __init__(self, patch: Any, at: int, fault: Fault) -> None:
        self.asked: list[str] = []
        real = AccountApi._exchange

        def exchange(api: AccountApi, method: str, path: str, *rest: Any) -> tuple[int, bytes]:
            self.asked.append(f"{method} {path}")
            if len(self.asked) - 1 == at:
                return fault(lambda: real(api, method, path, *rest))
            return real(api, method, path, *rest)

        patch.setattr(AccountApi, "_exchange", exchange)


async def whole(world: World, name: str) -> None:
    """The account opens here, at the server and anew, with all that it had."""
    machine = world.clean if name in ON_CLEAN else world.machine
    machine.running.ticks.now += 7200
    if name.startswith("passphrase"):
        machine.passphrase = OTHER
    here = machine.unlocked
    held = {one.fingerprint for one in here.vault.identities}
    assert here.statement.fingerprints <= held
    settings = await asyncio.to_thread(synced, here)
    assert settings == ({} if name == "setup" else {"kept": "yes"})
    secret = await machine.change(recovery_in_force)
    assert secret is not None
    assert machine.unlocked.vault == here.vault
    assert not machine.paths.pending.exists()
    if here.vault.custody is Custody.PARANOID:
        return
    box = machine.running.store._people[1].boxes["vault"]
    assert box.octets == machine.paths.vault.read_bytes()
    if name == "revoke":
        return
    fresh = Machine(machine.running, machine.home.with_name("fresh"))
    fresh.passphrase = "another one of many words"
    await asyncio.to_thread(recover, fresh.wish, secret, now(), cheap())
    assert fresh.unlocked.vault == here.vault
    shutil.rmtree(fresh.home)


def synced(here: Unlocked) -> dict[str, Any]:
    with open_stores(here) as stores:
        state = SharedState(here, stores.state)
        state.sync(AccountApi(here.server), here.login)
        return state.get("settings")


def opens(world: World, name: str) -> None:
    """Whatever happened, and without asking the server."""
    if name in ON_CLEAN:
        return
    kept = world.machine.passphrase
    for text in (PASSPHRASE, OTHER):
        world.machine.passphrase = text
        try:
            here = world.machine.unlocked
        except WrongSecret:
            continue
        assert {one.fingerprint for one in here.vault.identities} >= here.statement.fingerprints
        world.machine.passphrase = kept
        return
    raise AssertionError("no passphrase opens the account on this machine")


async def tried(
    running: Running, name: str, faults: dict[str, Fault], folder: Path, only: str = ""
) -> int:
    """Each fault at each request, or at those that begin so. How many there were."""
    kind, act = CHANGES[name]
    (folder / "made").mkdir()
    world = await made(running, kind, folder / "made")
    rows = {one: copy.deepcopy(getattr(running.store, one)) for one in ROWS}
    kept = (world.machine.passphrase, world.clean.passphrase)

    def anew(where: Path) -> World:
        for one, value in rows.items():
            setattr(running.store, one, copy.deepcopy(value))
        running.store._epoch += 1
        running.ticks.now += 7200
        shutil.copytree(folder / "made", where, dirs_exist_ok=True)
        one, two, clean = (Machine(running, where / each) for each in ("one", "two", "clean"))
        one.passphrase, clean.passphrase = kept
        return World(one, two, clean, world.code, world.secret)

    with pytest.MonkeyPatch.context() as patch:
        wire = Wire(patch, -1, cut)
        await act(anew(folder / "count"))
    count, faulty = 0, list[str]()
    for at, asked in enumerate(wire.asked):
        if not asked.startswith(only):
            continue
        for fault_name, fault in faults.items():
            count += 1
            there = anew(folder / f"{at} {fault_name}")
            try:
                await one_fault(there, name, act, at, fault)
            except (ClientError, AssertionError) as error:
                faulty.append(f"{fault_name} at {asked} ({at}): {error!r}")
    assert not faulty, "\n".join(faulty)
    return count


async def one_fault(world: World, name: str, act: Any, at: int, fault: Fault) -> None:
    with pytest.MonkeyPatch.context() as patch:
        Wire(patch, at, fault)
        with contextlib.suppress(Offline, BadServer, Refused, LocalFault):
            await act(world)
    opens(world, name)
    world.machine.running.ticks.now += 7200
    await act(world)
    await whole(world, name)


# Where a secret of this machine alone is at stake, and the server has no copy.
DELICATE = [
    ("paranoid", "DELETE /v1/slots", failed_500),
    ("paranoid", "PUT /v1/account-key", done_500),
    ("passphrase in paranoid", "PUT /v1/slots", asked_twice),
    ("rekey in paranoid", "PUT /v1/account-key", asked_twice),
]


@pytest.mark.parametrize(("name", "request_", "fault"), DELICATE)
async def test_at_the_most_delicate(
    running: Running, name: str, request_: str, fault: Fault, tmp_path: Path
) -> None:
    assert await tried(running, name, {"fault": fault}, tmp_path, request_) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CHANGES)
async def test_at_every_request(running: Running, name: str, tmp_path: Path) -> None:
    assert await tried(running, name, FAULTS, tmp_path) >= 4
