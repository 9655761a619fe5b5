"""Keys of other accounts on one's own server: their key history, verified here.

The server is not believed: a history proves that each change was signed by what was before it. What
the first look is worth, and what is thought of a later one, stands in contact_rules.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote

from e2email_client.contact_rules import Chain
from e2email_client.failure import Alarm, BadServer, Refused
from e2email_client.judge import judged
from e2email_crypto import cert, statement
from e2email_crypto.errors import BadKey
from e2email_crypto.statement import Authority, Entry
from e2email_protocol import account as messages

if TYPE_CHECKING:
    from e2email_client.api import AccountApi, Login

NOT_FOUND = "not-found"


@dataclass(frozen=True, slots=True)
class Listed:
    """`certificates` are those of the newest entry, binary."""

    chain: Chain
    certificates: tuple[bytes, ...] = field(repr=False)


@dataclass(slots=True)
class _Pages:
    entries: list[bytes] = field(default_factory=list)
    certificates: dict[bytes, None] = field(default_factory=dict)
    in_use: tuple[str, ...] = ()


class Unproven(Alarm):
    """A history that does not verify. `certificates`: what came with it, each good for itself."""

    def __init__(self, said: str, certificates: tuple[bytes, ...]) -> None:
        super().__init__(said)
        self.certificates = certificates


def look_up(
    api: AccountApi, login: Login, address: str, seen: str | None = None, *, first: bool = False
) -> Listed | None:
    """None: no account here. `seen` is the digest (hex) of an entry that was verified before.

    At the `first` look, with nothing pinned, what was before an entry of the recovery key is taken
    on trust, as the first entry of any history is: perhaps a key vouched for it that was stolen.
    Offline, Refused, BadServer; Alarm for what does not verify.
    """
    try:
        pages = _fetch(api, login, address)
    except Refused as fault:
        if fault.code == NOT_FOUND:
            return None
        raise
    if not pages.entries:
        return None  # an account without a key yet
    try:
        with judged(f"The key history of {address}"):
            entries = [Entry.decode(one) for one in pages.entries]
            return _verified(pages, entries, address, _proven(entries, seen, first))
    except Alarm as alarm:
        raise Unproven(str(alarm), tuple(pages.certificates)) from alarm


def _fetch(api: AccountApi, login: Login, address: str) -> _Pages:
    pages = _Pages()
    while len(pages.entries) <= statement.ENTRIES_MAX:
        path = f"/v1/directory/{quote(address, safe='@')}?from={len(pages.entries) + 1}"
        page = api.call("GET", path, messages.Directory, login=login)
        pages.entries.extend(page.statements)
        pages.certificates.update(dict.fromkeys(page.certificates))
        pages.in_use = page.in_use
        if len(page.statements) < messages.STATEMENTS_PAGE:
            return pages
    raise BadServer("The server gives more of a key history than there can be.")


def _proven(entries: Sequence[Entry], seen: str | None, first: bool) -> frozenset[bytes]:
    if seen is not None:
        return frozenset({bytes.fromhex(seen)})
    recovered = (
        before.digest for before, one in pairwise(entries) if one.authority is Authority.RECOVERY
    )
    return frozenset(recovered) if first else frozenset()


def _verified(
    pages: _Pages, entries: Sequence[Entry], address: str, proven: frozenset[bytes]
) -> Listed:
    """Raises StatementInvalid, Alarm."""
    statements = [statement.decode(one.statement) for one in entries]
    newest = statements[-1]
    # what an administrator forced is taken here and told: who pinned an earlier entry decides
    forced = {at for at, one in enumerate(entries) if one.authority is Authority.FORCED}
    accepted = {entries[at].digest for at in forced}
    statement.verify_chain(
        pages.entries, pages.certificates, newest.account, accepted=accepted, seen=proven
    )
    if address not in newest.addresses:
        raise Alarm("The server's directory answered with the key history of another address.")
    if set(pages.in_use) != newest.fingerprints:
        raise Alarm(
            f"The server says that it seals mail for {address} to other keys than the owner's "
            "statement names."
        )
    found = {_fingerprint(one): one for one in pages.certificates}
    if missing := newest.fingerprints - found.keys():
        raise Alarm(f"The server's directory lacks the key {min(missing)} of {address}.")
    chain = Chain(
        newest.account,
        tuple(one.digest.hex() for one in entries),
        tuple(one.fingerprints for one in statements),
        frozenset(forced),
    )
    return Listed(chain, tuple(found[one] for one in sorted(newest.fingerprints)))


def _fingerprint(certificate: bytes) -> str:
    try:
        return cert.inspect_cert(certificate, 0).fingerprint
    except BadKey:
        raise Alarm("The server's directory holds a certificate that cannot be read.") from None
