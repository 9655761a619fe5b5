"""The account's own OpenPGP keys, changed: every edit is proved, kept in the vault, and published.

The vault comes first: what the statement lists follows from it (`stated`), so a change that was cut
off in between is seen, and finished by the next one. Old identities stay in the vault, for reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from e2email_client.chain import fingerprint_of
from e2email_client.changing import Change, publish
from e2email_client.failure import LocalFault, Refused
from e2email_client.key_judging import SAID
from e2email_client.next_entry import Edit, in_statement
from e2email_client.own_identity import is_revoked, public
from e2email_crypto import gate, keyedit
from e2email_crypto.cert import inspect_cert, names
from e2email_crypto.errors import BadKey, KeyRefused, SignatureInvalid
from e2email_crypto.keyedit import Edited, Profile, Reason
from e2email_crypto.statement import CERTIFICATES_MAX, Certificate, Statement
from e2email_crypto.vault import IDENTITIES_MAX, Identity, Vault
from e2email_protocol import account as messages

MODERN_VERSION = 6  # of keys that get a successor in place of a new subkey


@contextmanager
def told() -> Iterator[None]:
    """What is wrong with a key, in a sentence. LocalFault; then nothing has changed."""
    try:
        yield
    except KeyRefused as fault:
        raise LocalFault(f"The key cannot be used: it {SAID[fault.reason]}.") from fault
    except (BadKey, SignatureInvalid) as fault:
        raise LocalFault(f"The key cannot be used for this: {fault}.") from fault


def stated(vault: Vault, now: int) -> tuple[Certificate, ...]:
    """What the statement has to say of a vault: the identity in use, and other devices' own."""
    in_use = vault.identities[0].certificate
    return tuple(in_statement(one, now) for one in (in_use, *vault.recipients))


def is_unfinished(change: Change, now: int) -> bool:
    """Whether an earlier change of keys reached the vault and not the statement."""
    return set(stated(change.vault, now)) != set(change.statement.certificates)


def finish(change: Change, now: int) -> Change:
    """Publish what an earlier change left in the vault."""
    return _publish(change, None, now)


def rotate(change: Change, now: int, *, compromised: bool = False) -> Change:
    """Mail to come is sealed to another key; what is there opens as before.

    A compat key gets a new encryption subkey, a modern one a successor. A rotation that was cut
    off is finished, and no other one made.
    """
    if is_unfinished(change, now):
        return finish(change, now)
    current = change.vault.identities[0]
    with told():
        if inspect_cert(current.certificate, now).version == MODERN_VERSION:
            made = keyedit.successor(current.tsk, now)
            return _put_in_use(change, _identity(made), now)
        edited = keyedit.rotate_encryption(current.tsk, now, compromised=compromised)
    return _publish(change, _edited(change.vault, edited), now)


def extend(change: Change, expires: int | None, now: int) -> Change:
    """The key in use is valid until `expires` (seconds since 1970), None for ever."""
    with told():
        edited = keyedit.extend(change.vault.identities[0].tsk, expires, now)
    return _publish(change, _edited(change.vault, edited), now)


def add_address(change: Change, address: str, name: str, now: int) -> Change:
    """The key in use, and the account, are for `address`, too. Refused where the server does not
    have it as an alias that leads to this account alone; the key has it then all the same."""
    current = change.vault.identities[0]
    edited: Vault | None = None
    if not has_address(current.certificate, address, now):
        with told():
            edited = _edited(change.vault, keyedit.add_address(current.tsk, address, name, now))
    return _publish(change, edited, now, address)


def has_address(certificate: bytes, address: str, now: int) -> bool:
    return any(names(text, address) for text in inspect_cert(certificate, now).user_ids)


def new(change: Change, name: str, profile: Profile, now: int) -> Change:
    """A fresh identity in place of the one in use, which stays for reading."""
    with told():
        made = keyedit.new_identity(change.settings.address, name, now, profile)
    return _put_in_use(change, _identity(made), now)


def take(change: Change, identity: Identity, now: int) -> Change:
    """An imported identity becomes the account's key. LocalFault where mail cannot be sealed to
    it, or it is not for this address."""
    require(identity, change.settings.address, now)
    return _put_in_use(change, identity, now)


def require(identity: Identity, address: str, now: int) -> None:
    """LocalFault where this cannot be the key of an account."""
    with told():
        gate.recipient(identity.certificate, now)
    if not has_address(identity.certificate, address, now):
        raise LocalFault(
            f"The key is not for {address}: it has no user id of that address. Add one where it "
            "was made; to read old mail with it: e2email key import FILE --for-reading."
        )


def keep_for_reading(change: Change, identity: Identity, now: int) -> Change:
    """Mail that is sealed to it opens from now on; none that comes is sealed to it."""
    if identity.fingerprint in {one.fingerprint for one in change.vault.identities}:
        raise LocalFault("This key is in the vault already.")
    require_room(change.vault)
    identities = (*change.vault.identities, identity)
    return publish(change, replace(change.vault, identities=identities), None, now)


def add_recipient(change: Change, certificate: bytes, now: int) -> Change:
    """Mail to come is sealed to this certificate, too: that of another device's own key."""
    fingerprint = fingerprint_of(certificate)
    if fingerprint in {one.fingerprint for one in change.vault.identities}:
        raise LocalFault("This key is in the vault: every device has it.")
    with told():
        gate.recipient(certificate, now)
    others = [one for one in change.vault.recipients if fingerprint_of(one) != fingerprint]
    if len(others) + 2 > CERTIFICATES_MAX:
        raise LocalFault(f"Mail of one account is sealed to at most {CERTIFICATES_MAX} keys.")
    vault = replace(change.vault, recipients=(*others, certificate))
    return _publish(change, vault, now)


def remove_recipient(change: Change, fingerprint: str, now: int) -> Change:
    """Mail to come is not sealed to it any more; what was, it still opens.

    The statement goes first here: a key that is listed there and in no vault is one of a stranger,
    to every machine. Cut off in between, it is in use again with the next change of keys.
    """
    left = tuple(one for one in change.vault.recipients if fingerprint_of(one) != fingerprint)
    if left == change.vault.recipients:
        raise LocalFault("Mail is not sealed to a key of another device with this fingerprint.")
    vault = replace(change.vault, recipients=left)
    change = publish(change, None, _listing(vault, now), now, certificates=True)
    return publish(change, vault, None, now)


def revoke(change: Change, reason: Reason, now: int) -> Change:
    """The key in use is revoked for ever. Mail is refused until there is a new one; what is there
    opens as before. Where it is revoked already, that is published again."""
    current = change.vault.identities[0]
    with told():
        edited = (
            Edited(current.tsk, public(current), current.fingerprint)
            if is_revoked(current)
            else keyedit.revoke(current.tsk, reason, now)
        )
    if edited.tsk != current.tsk:
        # its certificate there stays without it, see own_identity
        identities = (replace(current, tsk=edited.tsk), *change.vault.identities[1:])
        change = publish(change, replace(change.vault, identities=identities), None, now)
    wish = messages.Revocation(edited.cert)
    change.api.call("PUT", "/v1/revocation", messages.Nothing, wish, change.login)
    return change


def _put_in_use(change: Change, identity: Identity, now: int) -> Change:
    rest = [one for one in change.vault.identities if one.fingerprint != identity.fingerprint]
    if len(rest) == len(change.vault.identities):
        require_room(change.vault)
    return _publish(change, replace(change.vault, identities=(identity, *rest)), now)


def require_room(vault: Vault) -> None:
    if len(vault.identities) >= IDENTITIES_MAX:
        raise LocalFault(f"A vault holds at most {IDENTITIES_MAX} keys.")


def _edited(vault: Vault, edited: Edited) -> Vault:
    current, *rest = vault.identities
    after = replace(current, tsk=edited.tsk, certificate=edited.cert)
    return replace(vault, identities=(after, *rest))


def _identity(made: keyedit.Identity) -> Identity:
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def _publish(change: Change, vault: Vault | None, now: int, *addresses: str) -> Change:
    """The vault, then the statement that follows from it and the certificates it lists."""
    edit = _listing(vault or change.vault, now, *addresses)
    return publish(change, vault, edit, now, certificates=True)


def _listing(vault: Vault, now: int, *addresses: str) -> Edit:
    """The statement that follows from a vault. Refused where no mail could be sealed."""
    certificates = stated(vault, now)
    if not all(one.encryption_subkeys for one in certificates):
        raise Refused("CANNOT", "Mail cannot be sealed to the key: it has expired or is revoked.")

    def edit(last: Statement) -> Statement:
        more = [one for one in addresses if one not in last.addresses]
        return replace(last, certificates=certificates, addresses=(*last.addresses, *more))

    return edit
