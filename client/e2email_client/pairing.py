"""A new machine gets the account from one that has it, by twelve words from screen to screen."""

from __future__ import annotations

from dataclasses import dataclass, field

from e2email_client.account import device_token
from e2email_client.api import AccountApi
from e2email_client.changing import Change, publish
from e2email_client.device_key import own_key, with_device
from e2email_client.failure import Alarm, LocalFault, Refused, WrongSecret
from e2email_client.files import read_private
from e2email_client.judge import judged
from e2email_client.owner import NOT_FOUND
from e2email_crypto import pairing, vault
from e2email_crypto.errors import Expired
from e2email_crypto.pairing import Gift, Pair
from e2email_crypto.statement import Entry
from e2email_protocol import account as messages


@dataclass(frozen=True, slots=True)
class Offer:
    """What was made for a new machine; `code` is shown once. `expires`: seconds since 1970."""

    code: bytes = field(repr=False)
    expires: int
    public: bytes  # the new machine's signing key
    token_id: str  # of its login


def offer(change: Change, old: str, new: str, now: int) -> tuple[Change, Offer]:
    """A login and a signing key for the machine `new`, left at the server under a code.

    The account vouches for the key before the message is there. Cut off, or not fetched in time,
    a device is listed that nobody has: it can be revoked. Raises Refused, Offline, LocalFault.
    """
    settings, code, expires = change.settings, pairing.new_code(), now + pairing.LIFETIME
    device_key = own_key(None, change.entries)
    change = publish(change, None, with_device(device_key.public), now)
    token = device_token(change.api, change.login, new)
    account, server = settings.address, settings.server_name
    gift = Gift(
        account_key=change.key,
        vault=vault.seal_vault(change.vault, change.key, account, server),
        slots=(change.opened.slot,),
        sequence=change.statement.sequence,
        head=Entry.decode(change.entries[-1]).digest,
        device_token=token.token,
        device_seed=device_key.seed,
        server_url=settings.server_url,
        ca=read_private(change.paths.ca) if settings.own_ca else None,
    )
    try:
        message = pairing.seal(code, Pair(account, server, old, new, expires), gift)
    except ValueError as fault:
        raise LocalFault(f"No pairing can be made: {fault}.") from None
    wish = messages.NewPairing(expires, message)
    path = f"/v1/pairings/{pairing.message_id(code).hex()}"
    change.api.call("PUT", path, messages.Nothing, wish, change.login)
    return change, Offer(code, expires, device_key.public, token.id)


class NotInTime(WrongSecret):
    """The words are right, and their time is over."""


def _opened(message: bytes, code: bytes, address: str, server_name: str, now: int) -> Gift:
    try:
        return pairing.open(message, code, address, server_name, now)[1]
    except Expired:
        raise NotInTime(
            "The time of this pairing is over (if not, this machine's clock is wrong): run "
            "e2email device pair on the other machine again."
        ) from None


def fetch_gift(api: AccountApi, address: str, code: bytes, now: int) -> Gift:
    """What was left under this code; it is gone from the server afterwards.

    Raises WrongSecret: nothing is there (other words, fetched already, too late).
    """
    path = f"/v1/pairings/{pairing.message_id(code).hex()}"
    try:
        found = api.call("POST", path, messages.PairingMessage)
    except Refused as refused:
        if refused.code != NOT_FOUND:
            raise
        raise WrongSecret(
            "The server has nothing under these words: they are others, were used already, or "
            "their ten minutes are over. Run e2email device pair on the other machine again."
        ) from None
    try:
        with judged("The pairing"):
            gift = _opened(found.message, code, address, api.server.name, now)
    except NotInTime:
        raise
    except WrongSecret:
        raise Alarm("The pairing was not made with these words.") from None
    if not gift.slots:
        raise Alarm("The pairing holds no passphrase slot.")
    return gift
