"""How an account comes to this machine: made here, or fetched from its server.

Keys are made here and leave this machine only inside the vault. Nothing is written down before all
of it was checked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from e2email_client import config
from e2email_client.account_files import Kept, establish, write
from e2email_client.api import AccountApi, Login, Server
from e2email_client.config import Settings
from e2email_client.device_key import announce, own_key
from e2email_client.failure import Alarm, LocalFault, Refused, WrongSecret
from e2email_client.history import check_follows, fetch_statements
from e2email_client.judge import judged
from e2email_client.keyring_store import KeyringStore
from e2email_client.lock import held
from e2email_client.paths import Home
from e2email_client.unlock import (
    PASSPHRASE,
    ThisDevice,
    derive,
    open_vault,
    parameters,
    passphrase_params,
    read_device,
    verify_history,
    write_device,
)
from e2email_crypto import arrival, cert, kdf, keyedit, slot, statement, vault
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.errors import BadKey
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Policy
from e2email_protocol import account as messages

LOGIN_REFUSED = "login-refused"
INVITE_REFUSED = "invite-refused"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked `setup` for. `device` names this machine to its owner.

    `least_m_kib`: memory for the passphrase that the user agrees to, where it may be less than is
    usual (see _not_cheaper).
    """

    home: Home
    address: str
    server: Server
    device: str
    passphrase: str = field(repr=False)
    keyring: KeyringStore | None = field(default=None, repr=False)
    least_m_kib: int | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What `setup` brought about; the fingerprint is for comparing."""

    settings: Settings
    fingerprint: str
    policy: Policy


def create(
    wish: Wish, invite: str, name: str, policy: Policy, now: int, params: kdf.Params | None = None
) -> Done:
    """Make the keys, register with an invite, and set this machine up."""
    if wish.home.account(wish.address).folder.exists():
        raise LocalFault(f"{wish.address} is already set up on this machine.")
    api = AccountApi(wish.server)
    info = api.info()
    params = params or kdf.Params.generate()
    split = derive(wish.passphrase, params, wish.address, wish.server.name)
    identity = _new_identity(wish.address, name, now)
    with judged("The new key"):
        device_key = ArrivalKey.generate()
        entry = _first_entry(identity, wish.address, policy, device_key, now)
        key = AccountKey.generate()
        account, server = wish.address, wish.server.name
        kind = SlotKind.PASSPHRASE
        wrapped = slot.wrap(key, kind, split.wrap, account, server, params, generation=1)
        boxed = vault.seal_vault(_first_vault(identity, info, policy), key, account, server)
    registration = messages.Registration(
        wish.address,
        split.auth,
        messages.KdfParameters(params.t, params.m_kib, params.salt),
        (messages.Slot(PASSPHRASE, 1, wrapped),),
        boxed,
        entry.encode(),
        identity.cert,
        None,
    )
    _register(api, registration, Login.invite(invite))
    token = _device_token(api, Login.afresh(wish.address, split.auth), wish.device)
    settings = _settings(wish, info, info.arrival, 1, 1, entry.digest)
    device = ThisDevice(token, device_key)
    kept = Kept(settings, key, boxed, wrapped, [entry.encode()], device, wish.server.ca)
    establish(wish.home, kept, wish.keyring)
    return Done(settings, identity.fingerprint, policy)


def join(wish: Wish, now: int) -> Done:
    """Fetch an account that exists: on a further machine, or anew on one that has it.

    Whatever the server gives is checked against the passphrase, the vault and, on a machine that
    has the account, against what it has seen before. The account then vouches for what this
    machine signs.
    """
    paths = wish.home.account(wish.address)
    seen = config.load(paths) if paths.settings.exists() else None
    if seen and seen.server_name != wish.server.name:
        raise LocalFault(f"{wish.address} is set up on this machine with {seen.server_name}.")
    api = AccountApi(wish.server)
    info = api.info()
    question = messages.LoginQuestion(wish.address)
    asked = api.call("POST", "/v1/login-parameters", messages.KdfParameters, question)
    params = parameters(asked)
    _not_cheaper(params, passphrase_params(paths, seen) if seen else None, wish.least_m_kib)
    split = derive(wish.passphrase, params, wish.address, wish.server.name)
    login = Login.afresh(wish.address, split.auth)
    wrapped, key = _fetch_key(api, login, wish, params, split.wrap)
    box = api.call("GET", "/v1/vault", messages.VaultBox, login=login)
    base = seen or _settings(wish, info, info.arrival, 0, 0, b"")
    opened = open_vault(box.vault, key, base)
    entries = fetch_statements(api, login)
    verify_history(entries, opened, wish.address)
    _check_seen(base, entries)
    with judged("The server's arrival key"):
        # from the newest key this device has seen: an older one may have been given up for a reason
        pinned = bytes.fromhex(seen.arrival_key) if seen else opened.arrival_key
        if arrival.follow(pinned, info.successors) != info.arrival:
            raise Alarm("The server's arrival key is not the one that this account pinned.")
    mine = read_device(paths, key) if seen else None
    device_key = own_key(mine.key if mine else None, entries)
    device = ThisDevice(mine.token if mine else _device_token(api, login, wish.device), device_key)
    if seen:
        write_device(paths, key, device)  # before anybody hears of it, so that it is not lost
    entries = announce(api, login, opened, entries, device_key.public, wish.address, now)
    newest, digest = verify_history(entries, opened, wish.address)
    settings = _settings(wish, info, info.arrival, opened.counter, newest.sequence, digest)
    kept = Kept(settings, key, box.vault, wrapped, entries, device, wish.server.ca)
    if seen:
        with held(paths.history_lock):
            write(paths, kept, wish.keyring)
    else:
        establish(wish.home, kept, wish.keyring)
    return Done(settings, newest.certificates[0].fingerprint, newest.policy)


def _not_cheaper(params: kdf.Params, seen: kdf.Params | None, agreed: int | None) -> None:
    """Refuse what makes `auth`, which the server is about to get, cheaper to guess than it was.

    A server can lower these before the slot, which tells the true ones, is in our hands. So they
    must reach those of the slot on this machine, or where there is none what new accounts get.
    """
    t, m_kib = (seen.t, seen.m_kib) if seen else (kdf.T_DEFAULT, kdf.M_KIB_DEFAULT)
    if agreed is not None:
        t, m_kib = kdf.T_MIN, agreed
    if params.t < t or params.m_kib < m_kib:
        raise Alarm(
            f"The server asks for the passphrase to be stretched with {params.m_kib // 1024} MiB "
            f"and {params.t} passes; {m_kib // 1024} MiB and {t} passes are expected. Less makes "
            "it cheaper for the server to guess. If you know that the account was made so, "
            f"say --least-memory {params.m_kib // 1024}."
        )


def _new_identity(address: str, name: str, now: int) -> keyedit.Identity:
    try:
        return keyedit.new_identity(address, name, now)
    except BadKey as fault:
        raise LocalFault(f"No key can be made for this name and address: {fault}.") from fault


def _register(api: AccountApi, registration: messages.Registration, login: Login) -> None:
    try:
        api.call("POST", "/v1/accounts", messages.AccountInfo, registration, login)
    except Refused as refused:
        if refused.code != INVITE_REFUSED:
            raise
        # also what a second try gets when the answer to the first was lost on the way
        raise Refused(
            INVITE_REFUSED,
            "The server refused: the invite is not valid for this address. If it was used for "
            "this account already, run setup without --invite.",
        ) from None


def _first_entry(
    identity: keyedit.Identity, address: str, policy: Policy, device: ArrivalKey, now: int
) -> statement.Entry:
    subkeys = cert.inspect_cert(identity.cert, now).subkeys
    usable = (one.fingerprint for one in subkeys if one.state is cert.SubkeyState.USABLE)
    first = statement.Statement(
        sequence=1,
        addresses=(address,),
        certificates=(statement.Certificate(identity.fingerprint, tuple(sorted(usable))),),
        policy=policy,
        time=now,
        device_keys=(device.public,),
    )
    return statement.sign_entry(
        first, identity.fingerprint, lambda data: keyedit.sign_detached(identity.tsk, data)
    )


def _first_vault(
    identity: keyedit.Identity, info: messages.ServerInfo, policy: Policy
) -> vault.Vault:
    made = vault.Identity(identity.fingerprint, identity.tsk, identity.cert, identity.revocation)
    keys = vault.StoreKeys(*(AccountKey.generate().raw for _ in range(3)))
    return vault.Vault(1, (made,), keys, info.arrival, policy)


def _device_token(api: AccountApi, login: Login, device: str) -> str:
    asked = messages.TokenRequest(messages.DEVICE, device, messages.SCOPES)
    return api.call("POST", "/v1/tokens", messages.NewToken, asked, login).token


def _fetch_key(
    api: AccountApi, login: Login, wish: Wish, params: kdf.Params, wrap: bytes
) -> tuple[bytes, AccountKey]:
    try:
        slots = api.call("GET", "/v1/slots", messages.Slots, login=login).slots
    except Refused as refused:
        if refused.code != LOGIN_REFUSED:
            raise
        # the server says the same for an unknown account; so do we
        raise WrongSecret(
            "The server does not know this address with this passphrase (or server name)."
        ) from None
    wrapped = next((one.wrapped for one in slots if one.kind == PASSPHRASE), None)
    if wrapped is None:
        raise Alarm("The server gave no passphrase slot for this account.")
    with judged("The passphrase slot"):
        header = slot.inspect(wrapped, wish.address, wish.server.name)
    if header.params != params:
        raise Alarm("The server changed how the passphrase is stretched.")
    try:
        with judged("The passphrase slot"):
            return wrapped, slot.unwrap(wrapped, wrap, wish.address, wish.server.name)
    except WrongSecret:
        # the server accepted the same passphrase: the slot is an old or a foreign one
        raise Alarm("The passphrase slot was not made with this passphrase.") from None


def _check_seen(seen: Settings, entries: Sequence[bytes]) -> None:
    """The history this device has seen must be the beginning of what the server gives now."""
    if seen.statement_sequence == 0:
        return
    check_follows(entries, seen.statement_sequence, bytes.fromhex(seen.statement_digest))


def _settings(
    wish: Wish,
    info: messages.ServerInfo,
    arrival_key: bytes,
    vault_version: int,
    sequence: int,
    digest: bytes,
) -> Settings:
    return Settings(
        address=wish.address,
        server_url=wish.server.url,
        server_name=wish.server.name,
        imaps_port=info.ports.imaps or 0,
        imap_port=info.ports.imap or 0,
        smtps_port=info.ports.submissions or 0,
        smtp_port=info.ports.submission or 0,
        arrival_key=arrival_key.hex(),
        vault_version=vault_version,
        statement_sequence=sequence,
        statement_digest=digest.hex(),
        own_ca=wish.server.ca is not None,
    )
