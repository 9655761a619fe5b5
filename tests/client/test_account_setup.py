"""From an invite to a second machine, and what a wrong secret, damage or a bad server says."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2email_client import config
from e2email_client.account import Done, Wish, create
from e2email_client.cli.setup import NewAccount
from e2email_client.failure import Alarm, BadServer, ClientError, LocalFault, Refused, WrongSecret
from e2email_client.joining import join
from e2email_client.passphrase import Source
from e2email_client.paths import Home
from e2email_client.unlock import Unlocked, unlock
from e2email_crypto import kdf, slot, statement, vault
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import KdfRefused
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Policy
from e2email_protocol import account as m
from e2email_server.store.types import Box, Certificate, Kdf
from e2email_server.store.types import Statement as StoredStatement
from support.account_server import (
    ALICE,
    NAME,
    PARAMS,
    PASSPHRASE,
    Running,
    account_server,
    entry,
    identity,
    stated,
)

NOW = 1_750_000_000


class Keyring:
    """A keyring that works, by the shape of the real one."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], bytes] = {}

    def load(self, address: str, server_name: str) -> bytes | None:
        return self.kept.get((address, server_name))

    def save(self, address: str, server_name: str, secret: bytes) -> None:
        self.kept[(address, server_name)] = secret


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    async with account_server() as started:
        yield started


def wish(running: Running, home: Path, passphrase: str = PASSPHRASE, keyring: Any = None) -> Wish:
    # accounts here are made with the floor's parameters
    least = kdf.M_KIB_MIN
    return Wish(Home(home), ALICE, running.server, "laptop", passphrase, keyring, least)


async def made(running: Running, home: Path, keyring: Any = None) -> Done:
    """Alice's account, made on the machine whose home this is."""
    invite = await running.accounts.invite(ALICE)
    asked = wish(running, home, keyring=keyring)
    return await asyncio.to_thread(create, asked, invite, "Alice", Policy.SEALED, NOW, PARAMS)


def opened(
    tmp_path: Path, home: Path, passphrase: str = PASSPHRASE, keyring: Any = None
) -> Unlocked:
    secret = tmp_path / "passphrase"
    secret.write_text(passphrase + "\n")
    return unlock(Home(home).account(ALICE), Source(file=secret), keyring)


async def test_register_unlock_and_second_machine(running: Running, tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    done = await made(running, first)
    here = opened(tmp_path, first)
    assert here.statement.fingerprints == {done.fingerprint}
    assert here.vault.arrival_key == running.arrival.public
    assert (here.settings.imaps_port, here.settings.smtp_port) == (1993, 1587)
    assert (
        await asyncio.to_thread(join, wish(running, second), NOW)
    ).fingerprint == done.fingerprint
    there = opened(tmp_path, second)
    assert there.key == here.key
    assert there.vault == here.vault
    assert there.device_token != here.device_token
    for one in (here, there):
        who = await running.logins.check_login(ALICE, one.device_token, "192.0.2.1")
        assert who.kind == "device"


async def test_the_server_gets_nothing_that_opens(running: Running, tmp_path: Path) -> None:
    await made(running, tmp_path / "one")
    here = opened(tmp_path, tmp_path / "one")
    split = kdf.split(PASSPHRASE, PARAMS, ALICE, NAME)
    held = repr(vars(running.store)).encode() + b"".join(
        box.octets for box in await running.store.boxes(1)
    )
    assert here.vault.identities[0].tsk not in held
    for secret in (here.key.raw, split.wrap, split.auth):
        assert secret not in held
        assert secret.hex().encode() not in held
    assert PASSPHRASE.encode() not in held


async def test_files_are_private_and_hold_no_secret(running: Running, tmp_path: Path) -> None:
    home = tmp_path / "one"
    await made(running, home)
    here = opened(tmp_path, home)
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        "account.toml", "ca.pem", "passphrase.slot", "vault.box", "statements.json", "device.box",
    }  # fmt: skip
    for path in files:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        octets = path.read_bytes()
        for secret in (here.device_token.encode(), here.key.raw, PASSPHRASE.encode()):
            assert secret not in octets
    for folder in (home / "accounts", here.paths.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [path.name for path in (home / "accounts").iterdir()] == [ALICE]


async def test_wrong_passphrase_is_not_damage(running: Running, tmp_path: Path) -> None:
    home = tmp_path / "one"
    await made(running, home)
    with pytest.raises(WrongSecret, match="does not fit"):
        opened(tmp_path, home, "wrong")
    with pytest.raises(WrongSecret):
        await asyncio.to_thread(join, wish(running, tmp_path / "two", "wrong"), NOW)
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize("name", ["vault.box", "passphrase.slot", "device.box", "statements.json"])
async def test_damage_is_not_a_wrong_passphrase(
    running: Running, tmp_path: Path, name: str
) -> None:
    home = tmp_path / "one"
    await made(running, home)
    path = Home(home).account(ALICE).folder / name
    good = path.read_bytes()
    for bad in (
        good[: len(good) // 2],
        good[:-9] + bytes([good[-9] ^ 1]) + good[-8:],
        b"",
        good[:30] + b"\xff" + good[31:],
    ):
        path.write_bytes(bad)
        with pytest.raises(Alarm):
            opened(tmp_path, home)
    path.write_bytes(good)
    opened(tmp_path, home)


async def test_a_missing_file_is_named(running: Running, tmp_path: Path) -> None:
    home = tmp_path / "one"
    await made(running, home)
    path = Home(home).account(ALICE).vault
    path.unlink()
    with pytest.raises(LocalFault, match=r"vault\.box"):
        opened(tmp_path, home)


async def test_keyring_opens_without_a_passphrase(running: Running, tmp_path: Path) -> None:
    home, keyring = tmp_path / "one", Keyring()
    await made(running, home, keyring)
    paths = Home(home).account(ALICE)
    nobody = Source(file=tmp_path / "absent")
    by_keyring = unlock(paths, Source(), keyring)  # type: ignore[arg-type]
    assert by_keyring.vault == opened(tmp_path, home).vault
    # a passphrase that is named is used, whatever the keyring holds
    with pytest.raises(LocalFault):
        unlock(paths, nobody, keyring)  # type: ignore[arg-type]


async def test_another_key_in_the_keyring_means_the_passphrase(
    running: Running, tmp_path: Path, monkeypatch: Any
) -> None:
    home, keyring = tmp_path / "one", Keyring()
    await made(running, home, keyring)
    monkeypatch.setattr(Source, "existing", lambda _self, _address: PASSPHRASE)
    for other in (b"x" * 32, b"short", None):
        keyring.kept = {(ALICE, NAME): other} if other else {}
        assert unlock(Home(home).account(ALICE), Source(), keyring).settings.address == ALICE  # type: ignore[arg-type]


async def test_twice_on_one_machine(running: Running, tmp_path: Path) -> None:
    await made(running, tmp_path / "one")
    with pytest.raises(LocalFault, match="already"):
        await made_again(running, tmp_path / "one")


async def made_again(running: Running, home: Path) -> None:
    await asyncio.to_thread(
        create, wish(running, home), "e2i_" + "a" * 32, "", Policy.SEALED, NOW, PARAMS
    )


async def test_a_refused_invite_leaves_nothing(running: Running, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="without --invite") as caught:
        await made_again(running, tmp_path / "one")
    assert caught.value.code == "invite-refused"
    assert not (tmp_path / "one").exists()


@pytest.mark.parametrize("name", ["<script>", "line\nend", "x" * 300])
async def test_an_unusable_name_is_told_before_anything_is_sent(
    running: Running, tmp_path: Path, name: str
) -> None:
    invite = await running.accounts.invite(ALICE)
    with pytest.raises(LocalFault, match="No key can be made"):
        await asyncio.to_thread(
            create, wish(running, tmp_path), invite, name, Policy.SEALED, NOW, PARAMS
        )
    assert await running.store.accounts() == []


@pytest.mark.parametrize("passphrase", ["tab\there and there", "x" * 2000])
async def test_what_cannot_be_a_passphrase(
    running: Running, tmp_path: Path, passphrase: str
) -> None:
    with pytest.raises(WrongSecret, match="cannot be a passphrase"):
        await asyncio.to_thread(
            create, wish(running, tmp_path, passphrase), "", "", Policy.SEALED, NOW, PARAMS
        )


async def test_no_memory_for_argon2_is_no_alarm(
    running: Running, tmp_path: Path, monkeypatch: Any
) -> None:
    await made(running, tmp_path / "one")

    def refuse(*_: object) -> None:
        raise KdfRefused("no memory for the key derivation on this machine")

    monkeypatch.setattr(kdf, "split", refuse)
    with pytest.raises(LocalFault, match="no memory"):
        opened(tmp_path, tmp_path / "one")


async def test_a_full_disk_leaves_nothing_and_setup_can_go_on(
    running: Running, tmp_path: Path, monkeypatch: Any
) -> None:
    """Registered, and then the disk fails: the account is fetched like on a second machine."""
    from e2email_client import account_files

    real = account_files.write_private

    def fail(path: Path, octets: bytes) -> None:
        if path.name == "vault.box":
            raise LocalFault("disk full")
        real(path, octets)

    monkeypatch.setattr(account_files, "write_private", fail)
    with pytest.raises(LocalFault):
        await made(running, tmp_path / "one")
    assert list((tmp_path / "one" / "accounts").iterdir()) == []
    monkeypatch.undo()
    await asyncio.to_thread(join, wish(running, tmp_path / "one"), NOW)
    opened(tmp_path, tmp_path / "one")


async def test_setup_again_fetches_what_changed(running: Running, tmp_path: Path) -> None:
    home = tmp_path / "one"
    await made(running, home)
    before = opened(tmp_path, home)
    newer = replace(before.vault, counter=2, policy=Policy.BASELINE)
    await put_vault(running, vault.seal_vault(newer, before.key, ALICE, NAME), 2)
    await asyncio.to_thread(join, wish(running, home), NOW)
    after = opened(tmp_path, home)
    assert after.vault.counter == 2
    assert after.device_token == before.device_token


# --- a server that misbehaves ---------------------------------------------------------------


async def put_vault(running: Running, octets: bytes, version: int) -> None:
    person = running.store._people[1]
    person.boxes["vault"] = Box("vault", version, octets)


async def joined(running: Running, home: Path) -> ClientError:
    """What joining says; nothing may be written."""
    before = contents(home)
    with pytest.raises(ClientError) as caught:
        await asyncio.to_thread(join, wish(running, home), NOW)
    assert contents(home) == before
    return caught.value


def contents(home: Path) -> dict[Path, bytes]:
    """All files but locks, which are empty and tell nothing."""
    files = (path for path in home.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path: path.read_bytes() for path in files}


async def test_an_older_vault_is_an_alarm(running: Running, tmp_path: Path) -> None:
    home = tmp_path / "one"
    await made(running, home)
    old = (await running.store.box(1, "vault")).octets
    first = opened(tmp_path, home)
    newer = replace(first.vault, counter=2)
    await put_vault(running, vault.seal_vault(newer, first.key, ALICE, NAME), 2)
    await asyncio.to_thread(join, wish(running, home), NOW)
    await put_vault(running, old, 3)  # the server's own count says nothing
    said = await joined(running, home)
    assert isinstance(said, Alarm)
    assert "older" in str(said)
    # and on this machine's own disk
    Home(home).account(ALICE).vault.write_bytes(old)
    with pytest.raises(Alarm, match="older"):
        opened(tmp_path, home)


Change = Callable[[Running, Unlocked], None]


def _person(running: Running) -> Any:
    return running.store._people[1]


def foreign_vault(running: Running, alice: Unlocked) -> None:
    octets = vault.seal_vault(alice.vault, alice.key, "bob@example.test", NAME)
    _person(running).boxes["vault"] = Box("vault", 1, octets)


def vault_under_another_key(running: Running, alice: Unlocked) -> None:
    octets = vault.seal_vault(alice.vault, AccountKey.generate(), ALICE, NAME)
    _person(running).boxes["vault"] = Box("vault", 1, octets)


def cut_vault(running: Running, alice: Unlocked) -> None:
    octets = _person(running).boxes["vault"].octets
    _person(running).boxes["vault"] = Box("vault", 1, octets[:-1])


def weak_parameters(running: Running, alice: Unlocked) -> None:
    person = _person(running)
    person.row = replace(person.row, kdf=Kdf(1, 8, PARAMS.salt))


def huge_parameters(running: Running, alice: Unlocked) -> None:
    person = _person(running)
    person.row = replace(person.row, kdf=Kdf(3, 2**31, PARAMS.salt))


def no_slot(running: Running, alice: Unlocked) -> None:
    del _person(running).boxes["slot:passphrase"]


def foreign_slot(running: Running, alice: Unlocked) -> None:
    octets = slot.wrap(
        alice.key, SlotKind.PASSPHRASE, b"w" * 32, "bob@example.test", NAME, PARAMS, generation=1
    )
    _person(running).boxes["slot:passphrase"] = Box("slot:passphrase", 1, octets)


def slot_of_another_passphrase(running: Running, alice: Unlocked) -> None:
    octets = slot.wrap(alice.key, SlotKind.PASSPHRASE, b"w" * 32, ALICE, NAME, PARAMS, generation=1)
    _person(running).boxes["slot:passphrase"] = Box("slot:passphrase", 1, octets)


def slot_with_other_parameters(running: Running, alice: Unlocked) -> None:
    other = kdf.Params(4, PARAMS.m_kib, PARAMS.salt)
    octets = slot.wrap(alice.key, SlotKind.PASSPHRASE, b"w" * 32, ALICE, NAME, other, generation=1)
    _person(running).boxes["slot:passphrase"] = Box("slot:passphrase", 1, octets)


def swapped_key(running: Running, alice: Unlocked) -> None:
    """The classic: the server's own key in place of the user's, with a history that fits it."""
    _person(running).statements[:] = [StoredStatement(1, entry())]
    _person(running).certificates = (Certificate(identity().fingerprint, identity().cert),)


def added_key(running: Running, alice: Unlocked) -> None:
    """A second key, beside the user's, in an entry that nobody of the account signed."""
    first = _person(running).statements[0].octets
    forged = entry(before=first, signer=identity(), certificates=(stated(identity()),))
    _person(running).statements.append(StoredStatement(2, forged))


def forced_entry(running: Running, alice: Unlocked) -> None:
    first = statement.Entry.decode(_person(running).statements[0].octets)
    second = replace(statement.decode(first.statement), sequence=2, previous=first.digest).encode()
    forced = statement.Entry(second, statement.Authority.FORCED)
    _person(running).statements.append(StoredStatement(2, forced.encode()))


def no_history(running: Running, alice: Unlocked) -> None:
    _person(running).statements.clear()


CHANGES: dict[str, tuple[Change, str]] = {
    "vault of another account": (foreign_vault, "another account"),
    "vault under another key": (vault_under_another_key, "not made with this account's key"),
    "vault cut short": (cut_vault, "damaged"),
    "Argon2 below the floor": (weak_parameters, "key derivation"),
    "Argon2 above the ceiling": (huge_parameters, "key derivation"),
    "no passphrase slot": (no_slot, "no passphrase slot"),
    "slot of another account": (foreign_slot, "another account"),
    "slot of another passphrase": (slot_of_another_passphrase, "not made with this passphrase"),
    "slot with other parameters": (slot_with_other_parameters, "stretched"),
    "own key swapped": (swapped_key, "key history"),
    "a key added": (added_key, "key history"),
    "a forced entry": (forced_entry, "by force"),
    "no key history": (no_history, "key history"),
}


@pytest.mark.parametrize("name", CHANGES)
async def test_a_misbehaving_server_is_an_alarm(
    running: Running, tmp_path: Path, name: str
) -> None:
    change, words = CHANGES[name]
    await made(running, tmp_path / "one")
    change(running, opened(tmp_path, tmp_path / "one"))
    for home in ("one", "two"):
        said = await joined(running, tmp_path / home)
        assert isinstance(said, Alarm), said
        assert words in str(said)


def stretched(running: Running, t: int, m_kib: int) -> None:
    person = _person(running)
    person.row = replace(person.row, kdf=Kdf(t, m_kib, PARAMS.salt))


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[kdf.Params]:
    """With what passphrases were stretched, and `auth` would be shown to the server."""
    found: list[kdf.Params] = []

    def derive(passphrase: str, params: kdf.Params, address: str, name: str) -> kdf.Split:
        found.append(params)
        return kdf.split(passphrase, PARAMS, address, name)

    monkeypatch.setattr("e2email_client.owner.derive", derive)
    return found


@pytest.mark.parametrize(
    ("t", "m_mib", "agreed", "taken"),
    [
        (3, 64, None, False),
        (3, 255, None, False),
        (3, 256, None, True),
        (4, 512, None, True),
        (10, 128, None, False),
        (3, 128, 128, True),
        (3, 127, 128, False),
        (3, 256, 512, False),
    ],
)
async def test_a_new_machine_asks_for_what_accounts_are_made_with(
    running: Running,
    tmp_path: Path,
    shown: list[kdf.Params],
    t: int,
    m_mib: int,
    agreed: int | None,
    taken: bool,
) -> None:
    await made(running, tmp_path / "one")
    shown.clear()
    stretched(running, t, m_mib * 1024)
    asked = replace(
        wish(running, tmp_path / "two"), least_m_kib=None if agreed is None else agreed * 1024
    )
    with pytest.raises(Alarm) as caught:  # the slot has others: that is noticed, but too late
        await asyncio.to_thread(join, asked, NOW)
    assert bool(shown) is taken
    assert ("cheaper" in str(caught.value)) is not taken
    assert not (tmp_path / "two" / "accounts" / ALICE).exists()


async def test_a_machine_that_has_the_account_asks_for_what_it_has(
    running: Running, tmp_path: Path, shown: list[kdf.Params]
) -> None:
    home = tmp_path / "one"
    await made(running, home)
    usual = replace(wish(running, home), least_m_kib=None)
    await asyncio.to_thread(join, usual, NOW)  # the account was made with the floor, and this knows
    high = kdf.Params(5, 128 * 1024, PARAMS.salt)
    key = opened(tmp_path, home).key
    split = kdf.split(PASSPHRASE, PARAMS, ALICE, NAME)
    octets = slot.wrap(key, SlotKind.PASSPHRASE, split.wrap, ALICE, NAME, high, generation=1)
    Home(home).account(ALICE).slot("passphrase").write_bytes(octets)
    for t, m_mib in ((4, 128), (5, 127), (5, 64)):
        stretched(running, t, m_mib * 1024)
        shown.clear()
        with pytest.raises(Alarm, match="cheaper"):
            await asyncio.to_thread(join, usual, NOW)
        assert not shown


async def test_another_arrival_key_is_an_alarm(running: Running, tmp_path: Path) -> None:
    await made(running, tmp_path / "one")
    async with account_server(store=running.store) as other:
        # the same accounts behind a server that signs arrivals with a key of its own
        said = await joined(other, tmp_path / "two")
    assert isinstance(said, Alarm)
    assert "arrival key" in str(said)


async def test_a_signed_successor_of_the_arrival_key_is_accepted(
    running: Running, tmp_path: Path
) -> None:
    await made(running, tmp_path / "one")
    next_key = ArrivalKey.generate()
    successors = (running.arrival.certify(next_key.public),)
    async with account_server(store=running.store, arrival=next_key, successors=successors) as new:
        await asyncio.to_thread(join, wish(new, tmp_path / "two"), NOW)
    settings = config.load(Home(tmp_path / "two").account(ALICE))
    assert settings.arrival_key == next_key.public.hex()


async def test_an_arrival_key_that_was_given_up_does_not_come_back(
    running: Running, tmp_path: Path
) -> None:
    home = tmp_path / "one"
    await made(running, home)
    next_key = ArrivalKey.generate()
    successors = (running.arrival.certify(next_key.public),)
    async with account_server(store=running.store, arrival=next_key, successors=successors) as new:
        await asyncio.to_thread(join, wish(new, home), NOW)
    said = await joined(running, home)
    assert isinstance(said, Alarm)
    assert "arrival key" in str(said)


async def test_another_history_than_seen(running: Running, tmp_path: Path) -> None:
    """The same key signs two histories: this device has seen one of them."""
    home = tmp_path / "one"
    await made(running, home)
    paths = Home(home).account(ALICE)
    config.save(paths, replace(config.load(paths), statement_digest="00" * 32))
    said = await joined(running, home)
    assert isinstance(said, Alarm)
    assert "another key history" in str(said)


async def test_a_server_under_another_name(running: Running, tmp_path: Path) -> None:
    """It holds a certificate for what we dial, and calls itself what another server is called."""
    server = replace(running.server, name="other.example.test")
    async with account_server(name=NAME) as elsewhere:
        dialled = replace(elsewhere.server, name="other.example.test")
        for target in (server, dialled):
            asked = replace(wish(running, tmp_path / "one"), server=target)
            with pytest.raises(BadServer):
                await asyncio.to_thread(join, asked, NOW)


async def test_the_name_comes_from_the_user_not_the_server(tmp_path: Path) -> None:
    """A certificate for two names does not let a server choose which `auth` it is sent."""
    async with account_server(names=("a.example.test", "b.example.test")) as running:
        info = replace(running.server, name="b.example.test")
        asked = Wish(Home(tmp_path / "one"), ALICE, info, "laptop", PASSPHRASE)
        with pytest.raises(BadServer, match=r"calls itself a\.example\.test"):
            await asyncio.to_thread(join, asked, NOW)


async def test_secrets_are_in_no_log_and_no_repr(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    done = await made(running, tmp_path / "one")
    here = opened(tmp_path, tmp_path / "one")
    await asyncio.to_thread(join, wish(running, tmp_path / "two"), NOW)
    with pytest.raises(WrongSecret):
        await asyncio.to_thread(join, wish(running, tmp_path / "three", "CANARY passphrase"), NOW)
    split = kdf.split(PASSPHRASE, PARAMS, ALICE, NAME)
    objects = (here, done, wish(running, tmp_path), here.login, running.logins, running.server)
    text = caplog.text + repr(objects)
    for secret in (split.auth, split.wrap, here.key.raw, here.vault.store_keys.state_db):
        assert secret.hex() not in text
        assert repr(secret)[2:-1] not in text
    for words in (PASSPHRASE, "CANARY", here.device_token, "e2i_", here.login.header):
        assert words not in text
    assert m.API_VERSION == 1


def test_an_invite_is_in_no_repr() -> None:
    new = NewAccount("e2i_secret", "Alice", "sealed", None, False, None, Source())
    assert "secret" not in repr(new)
