"""Making a backup of an account, and opening one: what goes in, and whether it fits together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from e2email_client import backup_file, state_document
from e2email_client.chain import listed_certificates, verify_history
from e2email_client.config import Settings
from e2email_client.failure import Alarm, LocalFault, NotThere, WrongSecret
from e2email_client.files import read_private
from e2email_client.judge import judged
from e2email_client.shared_state import SharedState
from e2email_client.unlock import (
    PASSPHRASE,
    Unlocked,
    derive,
    open_vault,
    read_statements,
)
from e2email_crypto import backup, recovery, slot
from e2email_crypto.backup import Content, Head, Mail
from e2email_crypto.errors import KeyRefused, OpenFailed
from e2email_crypto.gate import recipient
from e2email_crypto.open import OpenPool
from e2email_crypto.seal import seal
from e2email_crypto.slot import AccountKey, SlotKind
from e2email_crypto.statement import Statement
from e2email_crypto.vault import Vault

WHAT = "The backup"
Source = Path | bytes  # a file, or what was on paper
PROBE = b"e2email probe\r\n"


@dataclass(frozen=True, slots=True)
class Found:
    """A backup that is open, and fits together: key, vault, key history. `mail` is not read yet."""

    opened: backup.Opened
    key: AccountKey = field(repr=False)
    vault: Vault = field(repr=False)
    statement: Statement | None  # None: on paper there is no key history
    settings: Settings

    @property
    def head(self) -> Head:
        return self.opened.head

    @property
    def content(self) -> Content:
        return self.opened.content

    def count(self, section: str) -> int:
        """Entries of a section of the shared state, such as "contacts". Alarm."""
        if self.content.state is None:
            return 0
        try:
            known = state_document.decode(self.content.state)
        except state_document.DocumentInvalid as fault:
            raise Alarm(f"The state in the backup is {fault}.") from fault
        return sum(at[0] == section and one.value is not None for at, one in known.items())


def create(
    unlocked: Unlocked,
    state: SharedState,
    path: Path,
    now: int,
    mail: Iterable[Mail] | None = None,
    *,
    words_only: bool = False,
    force: bool = False,
) -> int:
    """Write the file, read it back, name it; its octets. LocalFault leaves nothing half-made."""
    settings = unlocked.settings
    held = content(unlocked, state)
    names = settings.address, settings.server_name
    made = backup.write(
        unlocked.key, *names, now, _slots(unlocked, words_only=words_only), held, mail
    )

    def check(new: Path) -> None:
        found = open_by_words(new, secret_of(unlocked))
        if found.content != held or found.key != unlocked.key:
            raise Alarm(f"{WHAT} does not read back as it was written.")
        read_all(found)

    return backup_file.put(path, made, check, force=force)


def content(unlocked: Unlocked, state: SharedState) -> Content:
    """All but mail, as it lies on this machine."""
    vault = unlocked.vault
    payload = state.export()
    return Content(
        vault=read_private(unlocked.paths.vault),
        statements=tuple(read_statements(unlocked.paths)),
        certificates=tuple(dict.fromkeys(listed_certificates(vault).values())),
        revocations=tuple(
            dict.fromkeys(one.revocation for one in vault.identities if one.revocation)
        ),
        settings=_settings(unlocked),
        state=payload,
        state_counter=max(1, state.counter),
    )


def _settings(unlocked: Unlocked) -> backup.Settings:
    known = unlocked.settings
    return backup.Settings(
        server_url=known.server_url,
        imaps_port=known.imaps_port,
        imap_port=known.imap_port,
        smtps_port=known.smtps_port,
        smtp_port=known.smtp_port,
        arrival_key=bytes.fromhex(known.arrival_key),
        ca=unlocked.server.ca,
    )


def secret_of(unlocked: Unlocked) -> bytes:
    """The recovery secret. NotThere for an account without one.

    LocalFault where making a new one was cut off: its words might open nothing.
    """
    secret, settings = unlocked.vault.recovery, unlocked.settings
    if secret is None:
        raise NotThere(
            "This account has no recovery words: e2email account recovery new makes them."
        )
    keys = recovery.split(secret, settings.address, settings.server_name)
    if keys.public != unlocked.statement.recovery_key:
        raise LocalFault(
            "New recovery words were being made when it was cut off: run e2email account "
            "recovery new."
        )
    return secret


def for_paper(unlocked: Unlocked, now: int) -> bytes:
    """A backup that is as short as can be: what the server has in any custody is left out."""
    settings = unlocked.settings
    held = Content(
        vault=read_private(unlocked.paths.vault),
        statements=(),
        certificates=(),
        revocations=(),
        settings=_settings(unlocked),
    )
    names, slots = (settings.address, settings.server_name), _slots(unlocked, words_only=True)
    return b"".join(backup.write(unlocked.key, *names, now, slots, held))


def _slots(unlocked: Unlocked, *, words_only: bool) -> list[bytes]:
    settings = unlocked.settings
    names = settings.address, settings.server_name
    wrap = recovery.split(secret_of(unlocked), *names).wrap
    # the file is the only one to have this slot: nobody compares its generation
    made = [slot.wrap(unlocked.key, SlotKind.RECOVERY, wrap, *names, generation=1)]
    if not words_only:
        made.append(read_private(unlocked.paths.slot(PASSPHRASE)))
    return made


def check_whole(path: Path) -> Head:
    """Every octet is as it was written. Alarm, LocalFault."""
    with judged(WHAT):
        return backup.verify(backup_file.read(path))


def open_by_words(file: Source, secret: bytes) -> Found:
    """WrongSecret, Alarm, LocalFault."""

    def key(head: Head) -> AccountKey:
        wrap = recovery.split(secret, head.account, head.server_name).wrap
        return _unwrap(head, SlotKind.RECOVERY, wrap, "These words are not those of this backup.")

    return _open(file, key)


def open_by_passphrase(file: Source, ask: Callable[[str], str]) -> Found:
    """`ask` gets the address and gives the passphrase. WrongSecret, NotThere, Alarm, LocalFault."""

    def key(head: Head) -> AccountKey:
        found = head.slot(SlotKind.PASSPHRASE)
        if found is None:
            raise NotThere("This backup opens with the recovery words only.")
        params = slot.inspect(found, head.account, head.server_name).params
        assert params is not None  # of this kind
        wrap = derive(ask(head.account), params, head.account, head.server_name).wrap
        said = "That is not the passphrase of the time when this backup was made."
        return _unwrap(head, SlotKind.PASSPHRASE, wrap, said)

    return _open(file, key)


def _unwrap(head: Head, kind: SlotKind, wrap: bytes, wrong: str) -> AccountKey:
    found = head.slot(kind)
    if found is None:
        raise NotThere("This backup has no such slot.")
    try:
        with judged(WHAT):
            return slot.unwrap(found, wrap, head.account, head.server_name)
    except WrongSecret:
        raise WrongSecret(wrong) from None


def _open(file: Source, key_of: Callable[[Head], AccountKey]) -> Found:
    with judged(WHAT):
        head = backup.read_head(_pieces(file))
    key = key_of(head)
    try:
        with judged(WHAT):
            opened = backup.open(_pieces(file), key)
    except WrongSecret:
        # the slot opened: it is not the words that are wrong
        raise Alarm(f"{WHAT} holds a slot of one key and content of another.") from None
    settings = settings_of(opened)
    vault = open_vault(opened.content.vault, key, settings)
    if not opened.content.statements:  # from paper
        return Found(opened, key, vault, None, settings)
    newest, digest = verify_history(opened.content.statements, vault, head.account)
    return Found(opened, key, vault, newest, _seen(settings, vault, newest, digest))


def _pieces(file: Source) -> Iterable[bytes]:
    return [file] if isinstance(file, bytes) else backup_file.read(file)


def settings_of(opened: backup.Opened) -> Settings:
    """How the server was reached, of an account of which nothing has been seen yet."""
    head, known = opened.head, opened.content.settings
    return Settings(
        address=head.account,
        server_url=known.server_url,
        server_name=head.server_name,
        imaps_port=known.imaps_port,
        imap_port=known.imap_port,
        smtps_port=known.smtps_port,
        smtp_port=known.smtp_port,
        arrival_key=known.arrival_key.hex(),
        vault_version=0,
        statement_sequence=0,
        statement_digest="",
        own_ca=known.ca is not None,
    )


def _seen(settings: Settings, vault: Vault, newest: Statement, digest: bytes) -> Settings:
    return replace(
        settings,
        vault_version=vault.counter,
        statement_sequence=newest.sequence,
        statement_digest=digest.hex(),
    )


def prove(found: Found, now: int) -> dict[str, str]:
    """Seal a probe to every own key that mail is sealed to, and open it. Alarm.

    What is not tried, since nothing is sealed to it any more: fingerprint and why.
    """
    secret = [one.tsk for one in found.vault.identities]
    own = {one.fingerprint: one.certificate for one in found.vault.identities}
    refused = {}
    pool = OpenPool(1, *secret)
    try:
        for fingerprint in sorted(own.keys() & stated(found)):
            try:
                _probe(pool, fingerprint, own[fingerprint], now)
            except KeyRefused as fault:
                refused[fingerprint] = fault.reason.value
    finally:
        pool.close()
    return refused


def _probe(pool: OpenPool, fingerprint: str, certificate: bytes, now: int) -> None:
    to = recipient(certificate, now)
    try:
        if pool.open(seal(PROBE, [to]), len(PROBE), ()).plaintext == PROBE:
            return
    except OpenFailed:
        pass
    raise Alarm(f"The key {fingerprint} in the backup does not open what is sealed to it.")


def stated(found: Found) -> frozenset[str]:
    """Fingerprints that mail is sealed to, as far as the backup knows."""
    if found.statement is not None:
        return frozenset(found.statement.fingerprints)
    return frozenset({found.vault.identities[0].fingerprint})  # the one in use


def read_all(found: Found) -> tuple[int, int]:
    """(mails, their octets): each is decrypted, and the end is there. Alarm."""
    count = octets = 0
    with judged(WHAT):
        for mail in found.opened.mail or ():
            count += 1
            octets += len(mail.octets)
    return count, octets
