"""How an account is made: its keys here, its registration at the server, this machine's files.

Keys leave this machine only inside the vault. Nothing is written down before all of it was
checked. How an account that exists comes to a machine is in `joining`.
"""

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from e2email_client.account_files import Kept, establish
from e2email_client.api import AccountApi, Login, Server
from e2email_client.config import Settings
from e2email_client.failure import LocalFault, Refused
from e2email_client.history import fetch_statements
from e2email_client.judge import judged
from e2email_client.keyring_store import KeyringStore
from e2email_client.next_entry import in_statement
from e2email_client.paths import Home
from e2email_client.unlock import PASSPHRASE, RECOVERY, ThisDevice, Unlocked, derive
from e2email_crypto import kdf, keyedit, recovery, slot, statement, vault
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import BadKey
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Authority, Entry, Policy, Statement
from e2email_protocol import account as messages

INVITE_REFUSED = "invite-refused"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked `setup` for. `device` names this machine to its owner; None: as its host
    is called, with a number where another machine of the account has that name.

    `least_m_kib`: memory for the passphrase that the user agrees to, where it may be less than is
    usual (owner.open_by_passphrase).
    """

    home: Home
    address: str
    server: Server
    device: str | None
    passphrase: str = field(repr=False)
    keyring: KeyringStore | None = field(default=None, repr=False)
    least_m_kib: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What `setup` brought about; the fingerprint is for comparing."""

    settings: Settings
    fingerprint: str
    policy: Policy
    unlocked: Unlocked = field(repr=False)
    # of the login, where one was made for this machine
    token_id: str | None = None
    device: str = ""  # its name


def create(
    wish: Wish,
    invite: str,
    name: str,
    policy: Policy,
    now: int,
    params: kdf.Params | None = None,
    secret: bytes | None = None,
    identity: vault.Identity | None = None,
) -> Done:
    """Make the keys, register with an invite, and set this machine up.

    `secret` is the recovery secret, made here unless it was made (and written down) before. It is
    in the vault, so its words can be shown later, too. `identity` is an OpenPGP key that the owner
    has already; else one is made.
    """
    if wish.home.account(wish.address).folder.exists():
        raise LocalFault(f"{wish.address} is already set up on this machine.")
    api = AccountApi(wish.server)
    info = api.info()
    account, server = wish.address, wish.server.name
    params = params or kdf.Params.generate()
    split = derive(wish.passphrase, params, account, server)
    secret = secret or recovery.generate()
    again = recovery.split(secret, account, server)
    identity = identity or _new_identity(account, name, now)
    before = _history(api, Login.invite(invite))
    with judged("The new key"):
        device_key = ArrivalKey.generate()
        said = _first_statement(identity, account, policy, device_key, again.public, now)
        entry = _entry(said, identity, before)
        key = AccountKey.generate()
        kind = SlotKind.PASSPHRASE
        wrapped = slot.wrap(key, kind, split.wrap, account, server, params, generation=1)
        spare = slot.wrap(key, SlotKind.RECOVERY, again.wrap, account, server, generation=1)
        first = _first_vault(identity, info, policy, secret)
        if before:
            first = replace(first, accepted=(entry.digest,))
        boxed = vault.seal_vault(first, key, account, server)
    registration = messages.Registration(
        address=account,
        auth=split.auth,
        kdf=messages.KdfParameters(params.t, params.m_kib, params.salt),
        slots=(messages.Slot(PASSPHRASE, 1, wrapped), messages.Slot(RECOVERY, 1, spare)),
        vault=boxed,
        statement=entry.encode(),
        certificate=identity.certificate,
        recovery=again.auth,
    )
    _register(api, registration, Login.invite(invite))
    login = Login.afresh(account, split.auth)
    called = free_name(api, login, wish.device)
    token = device_token(api, login, called)
    settings = replace(first_settings(wish, info), vault_version=1)
    entries = [*before, entry.encode()]
    settings = replace(
        settings, statement_sequence=len(entries), statement_digest=entry.digest.hex()
    )
    device = ThisDevice(token.token, device_key)
    kept = Kept(settings, key, boxed, wrapped, entries, device, wish.server.ca)
    establish(wish.home, kept, wish.keyring)
    unlocked = kept.unlocked(wish.home, first, statement.decode(entry.statement))
    return Done(settings, identity.fingerprint, policy, unlocked, token.id, called)


def _new_identity(address: str, name: str, now: int) -> vault.Identity:
    try:
        made = keyedit.new_identity(address, name, now)
    except BadKey as fault:
        raise LocalFault(f"No key can be made for this name and address: {fault}.") from fault
    return vault.Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def _history(api: AccountApi, login: Login) -> list[bytes]:
    """What the new account continues: the history of one that an administrator lets be replaced."""
    with _invited():
        return fetch_statements(api, login)


def _register(api: AccountApi, registration: messages.Registration, login: Login) -> None:
    with _invited():
        api.call("POST", "/v1/accounts", messages.AccountInfo, registration, login)


@contextmanager
def _invited() -> Iterator[None]:
    try:
        yield
    except Refused as refused:
        if refused.code != INVITE_REFUSED:
            raise
        # also what a second try gets when the answer to the first was lost on the way
        raise Refused(
            INVITE_REFUSED,
            "The server refused: the invite is not valid for this address. If it was used for "
            "this account already, run setup without --invite.",
        ) from None


def _first_statement(
    identity: vault.Identity,
    address: str,
    policy: Policy,
    device: ArrivalKey,
    recovery_key: bytes,
    now: int,
) -> Statement:
    return Statement(
        sequence=1,
        addresses=(address,),
        certificates=(in_statement(identity.certificate, now),),
        policy=policy,
        time=now,
        device_keys=(device.public,),
        recovery_key=recovery_key,
    )


def _entry(said: Statement, identity: vault.Identity, before: Sequence[bytes]) -> Entry:
    """Signed by its own key, as every first one. What continues a history whose keys are lost is
    signed by nobody: it stays marked as forced for ever, and contacts are told."""
    if before:
        last = Entry.decode(before[-1])
        sequence = statement.decode(last.statement).sequence + 1
        following = replace(said, sequence=sequence, previous=last.digest)
        return Entry(following.encode(), Authority.FORCED)
    return statement.sign_entry(
        said, identity.fingerprint, lambda data: keyedit.sign_detached(identity.tsk, data)
    )


def _first_vault(
    identity: vault.Identity, info: messages.ServerInfo, policy: Policy, secret: bytes
) -> vault.Vault:
    keys = vault.StoreKeys(*(AccountKey.generate().raw for _ in range(3)))
    return vault.Vault(1, (identity,), keys, info.arrival, policy, recovery=secret)


def host_name() -> str:
    return (platform.node() or "this machine")[: messages.NAME_CAP]


def free_name(api: AccountApi, login: Login, wanted: str | None) -> str:
    """What to call this machine: as its owner wanted, else a name that no other one has."""
    if wanted is not None:
        return wanted
    tokens = api.call("GET", "/v1/tokens", messages.Tokens, login=login).tokens
    taken = {one.name for one in tokens if one.kind == messages.DEVICE}
    name, number = host_name(), 1
    while name in taken:
        number += 1
        after = f" {number}"
        name = host_name()[: messages.NAME_CAP - len(after)] + after
    return name


def device_token(api: AccountApi, login: Login, device: str) -> messages.NewToken:
    """A login for the machine that is called so."""
    asked = messages.TokenRequest(messages.DEVICE, device, messages.SCOPES)
    return api.call("POST", "/v1/tokens", messages.NewToken, asked, login)


def first_settings(wish: Wish, info: messages.ServerInfo) -> Settings:
    """Of an account of which this machine has seen nothing yet."""
    return Settings(
        address=wish.address,
        server_url=wish.server.url,
        server_name=wish.server.name,
        imaps_port=info.ports.imaps or 0,
        imap_port=info.ports.imap or 0,
        smtps_port=info.ports.submissions or 0,
        smtp_port=info.ports.submission or 0,
        arrival_key=info.arrival.hex(),
        vault_version=0,
        statement_sequence=0,
        statement_digest="",
        own_ca=wish.server.ca is not None,
    )
