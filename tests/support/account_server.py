"""A real account API on loopback: uvicorn, TLS, the store in memory, clocks that tests move."""

import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import trustme

from e2email_client.api import AccountApi, Server
from e2email_crypto import cert, kdf, keyedit, slot, statement
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Policy
from e2email_protocol import account as messages
from e2email_protocol.jsonform import Form
from e2email_server.accounts import Accounts
from e2email_server.api.everything import application
from e2email_server.api.listen import HttpsListener
from e2email_server.logins import Logins
from e2email_server.recipients import Recipients
from e2email_server.smtp.budget import MemoryBudget, Share
from e2email_server.smtp.limits import Limits
from e2email_server.standing import Standing
from e2email_server.store.memory import MemoryStore
from e2email_server.throttle import Throttle
from support.residents import house

NAME = "mail.example.test"
ALICE = "alice@example.test"
BOB = "bob@example.test"
PASSPHRASE = "correct horse battery"
PORTS = messages.Ports(1143, 1993, None, None, 1587, 1465)
# the floor: never weaker, also in tests
PARAMS = kdf.Params(kdf.T_MIN, kdf.M_KIB_MIN, b"salt of 16 bytes")


class Ok(Form):
    """What a PUT or DELETE answers."""

    __slots__ = ()

    @classmethod
    def decode(cls, octets: bytes, *, strict: bool = True) -> "Ok":
        assert octets == b"{}"
        return cls()


class Ticks:
    """The throttle's clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Running:
    """A server and what a test needs of its inside."""

    server: Server
    store: MemoryStore
    accounts: Accounts
    logins: Logins
    ticks: Ticks
    arrival: ArrivalKey
    ca: trustme.CA
    listener: HttpsListener
    memory: MemoryBudget
    recipients: Recipients
    standing: Standing

    async def register(self, address: str = ALICE, **changes: object) -> None:
        """An account without the network."""
        invite = await self.accounts.invite(address)
        invited = await self.accounts.invited(invite, "198.51.100.1")
        await self.accounts.register(registration(address, **changes), invited)

    @property
    def api(self) -> AccountApi:
        return AccountApi(self.server)


@cache
def authority() -> trustme.CA:
    return trustme.CA()


def server_tls(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority().issue_cert(*names).configure_cert(context)
    return context


@asynccontextmanager
async def account_server(
    name: str = NAME,
    store: MemoryStore | None = None,
    arrival: ArrivalKey | None = None,
    successors: tuple[bytes, ...] = (),
    names: tuple[str, ...] = (),
    aliases: Mapping[str, tuple[str, ...]] | None = None,
) -> AsyncIterator[Running]:
    """`names` are those of the TLS certificate, the first one also the server's own."""

    def clock() -> int:
        return int(time.time())

    name = names[0] if names else name
    store = store or MemoryStore(clock)
    ticks, arrival = Ticks(), arrival or ArrivalKey.generate()
    throttle = Throttle(ticks)
    logins = Logins(store, b"k" * 32, throttle, clock)
    recipients = Recipients(store, house(aliases=aliases or {}), clock)
    accounts = Accounts(store, logins, throttle, clock, recipients.owner)
    info = messages.ServerInfo(name, messages.API_VERSION, arrival.public, successors, PORTS)
    memory = MemoryBudget(Limits())
    share = Share(memory, 1 << 20)
    app = application(store, accounts, logins, recipients, share, info, clock, ticks)
    listener = HttpsListener(app, "127.0.0.1", 0, server_tls(*(names or (name,))))
    await listener.start()
    ca = authority().cert_pem.bytes()
    server = Server("127.0.0.1", listener.port, name, ca)
    try:
        yield Running(
            server,
            store,
            accounts,
            logins,
            ticks,
            arrival,
            authority(),
            listener,
            memory,
            recipients,
            Standing(store, recipients.owner, clock),
        )
    finally:
        await listener.stop(5)
        logins.close()


def identity(address: str = ALICE, number: int = 1) -> keyedit.Identity:
    """A key made once a test run."""
    return _identity(address, number)


@cache
def _identity(address: str, number: int) -> keyedit.Identity:
    return keyedit.new_identity(address, f"Test {number}", int(time.time()))


def stated(identity: keyedit.Identity) -> statement.Certificate:
    subkeys = cert.inspect_cert(identity.cert, int(time.time())).subkeys
    return statement.Certificate(identity.fingerprint, tuple(one.fingerprint for one in subkeys))


def entry(
    address: str = ALICE,
    signer: keyedit.Identity | None = None,
    before: bytes | None = None,
    **changes: object,
) -> bytes:
    """A signed entry of a key history, the first or the one after `before`."""
    signer = signer or identity(address)
    last = statement.Entry.decode(before) if before else None
    values: dict[str, object] = {
        "sequence": statement.decode(last.statement).sequence + 1 if last else 1,
        "addresses": (address,),
        "certificates": (stated(signer),),
        "policy": Policy.SEALED,
        "time": 1_700_000_000,
        "previous": last.digest if last else None,
    }
    made = statement.Statement(**(values | changes))  # type: ignore[arg-type]
    return statement.sign_entry(
        made, signer.fingerprint, lambda data: keyedit.sign_detached(signer.tsk, data)
    ).encode()


@cache
def split(address: str = ALICE, passphrase: str = PASSPHRASE) -> kdf.Split:
    return kdf.split(passphrase, PARAMS, address, NAME)


def registration(address: str = ALICE, **changes: object) -> messages.Registration:
    key = AccountKey.generate()
    wrapped = slot.wrap(
        key, SlotKind.PASSPHRASE, split(address).wrap, address, NAME, PARAMS, generation=1
    )
    values: dict[str, object] = {
        "address": address,
        "auth": split(address).auth,
        "kdf": messages.KdfParameters(PARAMS.t, PARAMS.m_kib, PARAMS.salt),
        "slots": (messages.Slot("passphrase", 1, wrapped),),
        "vault": b"opaque to the server",
        "statement": entry(address),
        "certificate": identity(address).cert,
        "recovery": None,
    }
    return messages.Registration(**(values | changes))  # type: ignore[arg-type]
