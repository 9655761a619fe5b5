"""The next entry of the account's key history: signed by a key of the last one, and published."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from e2email_client.api import AccountApi, Login
from e2email_client.chain import check_follows, listed_certificates, verify_history
from e2email_client.failure import LocalFault, Refused
from e2email_client.history import fetch_statements
from e2email_client.judge import judged
from e2email_client.own_identity import is_revoked
from e2email_crypto import cert, keyedit, recovery, statement, vault
from e2email_crypto.errors import SignatureInvalid
from e2email_crypto.statement import Entry, Statement
from e2email_crypto.vault import Vault
from e2email_protocol import account as messages

# Each time another machine was faster. Nobody changes an account more often in the same second.
TRIES = 5
CONFLICT = "conflict"
_OVERTAKEN = frozenset({CONFLICT, "statement-refused"})

Edit = Callable[[Statement], Statement]


def newest(entries: Sequence[bytes]) -> Statement:
    """The last statement of a verified history."""
    return statement.decode(Entry.decode(entries[-1]).statement)


def append(
    api: AccountApi,
    login: Login,
    opened: Vault,
    entries: list[bytes],
    address: str,
    edit: Edit,
    now: int,
    *,
    certificates: bool = False,
) -> list[bytes]:
    """The verified history `entries` with one more, published; the same where `edit` changes
    nothing and no certificates are to be sent. Raises as `publish` does, and what `edit` does.
    """
    for _ in range(TRIES):
        before = newest(entries)
        wanted = edit(before)
        if wanted == before and not certificates:
            return entries
        following = replace(
            wanted,
            sequence=before.sequence + 1,
            previous=Entry.decode(entries[-1]).digest,
            time=now,
        )
        entry = _signed(following, before, opened, api.server.name).encode()
        try:
            _post(api, login, entry, _of(following, opened) if certificates else None)
            return [*entries, entry]
        except Refused as refused:
            found = fetch_statements(api, login)
            if refused.code not in _OVERTAKEN or len(found) <= len(entries):
                raise
            check_follows(found, len(entries), Entry.decode(entries[-1]).digest)
            verify_history(found, opened, address)
            entries = found
    raise Refused(CONFLICT, "Other machines change this account all the time; try again.")


def _post(
    api: AccountApi, login: Login, entry: bytes, certificates: tuple[bytes, ...] | None
) -> None:
    if certificates is None:
        wish = messages.NewStatement(entry)
        api.call("POST", "/v1/statements", messages.Nothing, wish, login)
    else:
        both = messages.NewCertificates(entry, certificates)
        api.call("PUT", "/v1/certificates", messages.Nothing, both, login)


def _signed(following: Statement, before: Statement, opened: Vault, server_name: str) -> Entry:
    """By a key of the entry before, as the chain asks. By the recovery key where none can: it is
    revoked, or its maker let it certify keys and not sign (sq does)."""
    signers = [one for one in opened.identities if one.fingerprint in before.fingerprints]
    for signer in signers:
        entry = _signed_by(signer, following)
        if entry is not None:
            return entry
    if opened.recovery is not None:
        keys = recovery.split(opened.recovery, before.account, server_name)
        if keys.public == before.recovery_key:
            return recovery.sign_entry_by_recovery(following, keys)
    raise LocalFault("No secret key on this machine may change the account's key history.")


def _signed_by(signer: vault.Identity, following: Statement) -> Entry | None:
    """None: nobody would accept it."""
    if is_revoked(signer):
        return None
    with judged("The account's own key"):
        entry = statement.sign_entry(
            following, signer.fingerprint, lambda data: keyedit.sign_detached(signer.tsk, data)
        )
    data = statement.signed_octets(entry.statement)
    try:
        cert.verify_signed_by(signer.certificate, data, entry.signature)
    except SignatureInvalid:
        return None
    return entry


def _of(following: Statement, opened: Vault) -> tuple[bytes, ...]:
    """The certificates that a statement lists, in its order, from the vault."""
    known = listed_certificates(opened)
    return tuple(known[one.fingerprint] for one in following.certificates)


def in_statement(certificate: bytes, now: int) -> statement.Certificate:
    """What a statement says of a certificate: its fingerprint, and where mail is sealed to."""
    found = cert.inspect_cert(certificate, now)
    usable = (one.fingerprint for one in found.subkeys if one.state is cert.SubkeyState.USABLE)
    return statement.Certificate(found.fingerprint, tuple(sorted(usable)))
