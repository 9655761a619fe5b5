"""The envelope: a sealed message's signed summary. One line of JSON, then raw header fields.

The encoding is canonical: decode() refuses bytes that encode() would not make, so that the bytes
that were signed are the only bytes that mean this.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from e2email_protocol.jsonform import FormInvalid, parse
from e2email_protocol.mime.quote import is_list
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.change import MAX_CHANGES, Change
from e2email_protocol.sealed.record import FORMAT_VERSION, Policy

MAX_ENVELOPE = 16 << 10  # a mailbox of 10,000 is listed by fetching its envelopes
MAX_SIZE = 1 << 40  # octets, and seconds; above any mail, and exact in every JSON reader
MAX_KEYS = 64  # PKESKs that the packet grammar accepts
SUMMARY_VERSION = 1  # of how structure, preview and attachments are made from octets
MAX_PREVIEW = 1000  # characters; a bound for readers, mime.text makes less
MAX_NAMES = 2 << 10  # octets of JSON: real headers take a quarter of it, others fill no envelope
MAX_ACCOUNT = 254  # octets, RFC 5321 §4.5.3.1.3
_ACCOUNT = re.compile(r"[^\x00-\x20\x7f]+")
_KEY_ID = re.compile(r"[0-9A-F]{16}")
_NO_NAME = re.compile(rb"[:\n]")  # what no field name has inside it
_HEX = re.compile(r"[0-9a-f]*")


class BadEnvelope(ValueError):
    """Not an envelope that this program could have made."""


class UnknownVersion(BadEnvelope):
    """Made by a later program; never guessed at."""


class Body(StrEnum):
    """How the body was made from the delivered octets."""

    CHANGED = "changed"  # the same mail with markers in its header
    WHOLE = "whole"  # the mail carried inside a wrapper
    VERBATIM = "verbatim"  # not changed; the sender encrypted it


@dataclass(frozen=True, slots=True, repr=False)
class Envelope:
    """What a client knows of a message before it opens the body.

    `fields` are the published header fields as delivered, each ending in a line end. `structure`
    is IMAP's BODYSTRUCTURE, `preview` the first words; None when named in `omitted`, as is the
    lower-case name of every published field that was left out. Sizes in octets, of the delivered
    octets; `trace` is the length of the fields that the receiving server put in front.
    `names` are the lower-case names of the header's other fields, each once, in order; None when
    named in `omitted` or when made before envelopes had them.
    `encrypted`: the whole mail is one sender's encryption to this account. `summary` is the
    version of the rules that made structure, preview and attachments.
    """

    account: str
    record_id: bytes
    policy: Policy
    arrival: Arrival
    body: Body
    encrypted: bool
    changes: tuple[Change, ...]
    sha256: bytes
    size: int
    header_size: int
    trace: int
    key_ids: frozenset[str]
    attachments: int
    structure: bytes | None
    preview: str | None
    fields: bytes
    omitted: tuple[str, ...] = ()
    names: tuple[bytes, ...] | None = None
    summary: int = SUMMARY_VERSION
    version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if _ACCOUNT.fullmatch(self.account) is None or len(self.account.encode()) > MAX_ACCOUNT:
            raise ValueError("not an account")

    def __repr__(self) -> str:
        """Id, origin and size; names, subjects and previews are mail text."""
        return f"<Envelope {self.record_id.hex()} {self.arrival.origin} {self.body} {self.size}>"


canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
"""A value as the one line of ASCII JSON that it may have; the encoder is made once."""


def json_size(value: str | bytes) -> int:
    """Octets that a string takes inside the JSON line."""
    return len(json.dumps(_text(value) if isinstance(value, bytes) else value))


def names_size(names: Iterable[bytes]) -> int:
    """Octets that a list of names takes inside the JSON line."""
    return len(canonical([_text(name) for name in names]))


def encode(envelope: Envelope) -> bytes:
    """The exact envelope bytes. Their cap is MAX_ENVELOPE; summary.fit() keeps to it."""
    members: dict[str, Any] = {
        "version": envelope.version,
        "account": envelope.account,
        "id": envelope.record_id.hex(),
        "policy": envelope.policy,
        "arrival": {
            "origin": envelope.arrival.origin,
            "tls": envelope.arrival.tls,
            "time": envelope.arrival.time,
            "verdicts": [list(v) for v in envelope.arrival.verdicts],
        },
        "body": envelope.body,
        "encrypted": envelope.encrypted,
        "changes": [[c.offset, _text(c.removed), _text(c.inserted)] for c in envelope.changes],
        "sha256": envelope.sha256.hex(),
        "size": envelope.size,
        "header_size": envelope.header_size,
        "trace": envelope.trace,
        "keys": sorted(envelope.key_ids),
        "attachments": envelope.attachments,
        "structure": None if envelope.structure is None else _text(envelope.structure),
        "preview": envelope.preview,
        "omitted": list(envelope.omitted),
        "summary": envelope.summary,
    }
    if envelope.names is not None:
        members["names"] = [_text(name) for name in envelope.names]
    return canonical(members).encode("ascii") + b"\n" + envelope.fields


def _text(octets: bytes) -> str:
    return octets.decode("latin-1")  # one character an octet, in both directions


def decode(octets: bytes) -> Envelope:
    """The envelope these bytes say. Raises BadEnvelope, UnknownVersion."""
    if len(octets) > MAX_ENVELOPE:
        raise BadEnvelope("envelope above its cap")
    line, newline, fields = octets.partition(b"\n")
    members = _members(line)
    if members.get("version") != FORMAT_VERSION:
        raise UnknownVersion("envelope of an unknown version")
    try:
        envelope = _envelope(members, fields)
        _check(envelope)
        same = encode(envelope) == octets  # also refuses doubled, unknown and reordered members
    except (KeyError, TypeError, ValueError) as error:
        raise BadEnvelope("envelope with a member out of form") from error
    if not newline or not same:
        raise BadEnvelope("envelope not in canonical form")
    return envelope


def _check(envelope: Envelope) -> None:
    """What no composer makes, and a reader would believe. Raises ValueError."""
    if envelope.structure is not None and not is_list(envelope.structure):
        raise ValueError("not a BODYSTRUCTURE")
    if envelope.body is Body.VERBATIM and not envelope.encrypted:
        # "sealed on arrival" would be said of a mail that lies in clear
        raise ValueError("only what its sender encrypted is kept as it came")


def _members(line: bytes) -> dict[str, Any]:
    try:
        members = parse(line)
    except FormInvalid as error:
        raise BadEnvelope("envelope does not begin with a line of JSON") from error
    if not isinstance(members, dict):
        raise BadEnvelope("envelope is not an object")
    return members


def _envelope(members: Mapping[str, Any], fields: bytes) -> Envelope:
    structure, preview = members["structure"], members["preview"]
    names = _names(members["names"]) if "names" in members else None
    return Envelope(
        account=_string(members["account"]),
        record_id=_hex(members["id"], 16),
        policy=Policy(members["policy"]),
        arrival=_arrival(members["arrival"]),
        body=Body(members["body"]),
        encrypted=_boolean(members["encrypted"]),
        changes=tuple(_change(c) for c in _list(members["changes"], MAX_CHANGES)),
        sha256=_hex(members["sha256"], 32),
        size=_integer(members["size"]),
        header_size=_integer(members["header_size"]),
        trace=_integer(members["trace"]),
        key_ids=frozenset(_string(k, _KEY_ID) for k in _list(members["keys"], MAX_KEYS)),
        attachments=_integer(members["attachments"]),
        structure=None if structure is None else _octets(structure),
        preview=None if preview is None else _preview(preview),
        fields=fields,
        omitted=tuple(_string(o) for o in _list(members["omitted"], MAX_ENVELOPE)),
        summary=_integer(members["summary"]),
        names=names,
    )


def _arrival(members: Mapping[str, Any]) -> Arrival:
    verdicts = tuple(
        (_string(name), _string(text)) for name, text in _list(members["verdicts"], MAX_CHANGES)
    )
    return Arrival(
        _string(members["origin"]), _string(members["tls"]), _integer(members["time"]), verdicts
    )


def _change(items: Any) -> Change:
    offset, removed, inserted = _list(items, 3)
    return Change(_integer(offset), _octets(removed), _octets(inserted))


def _list(value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise TypeError
    return value


def _string(value: Any, form: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or (form is not None and form.fullmatch(value) is None):
        raise TypeError
    value.encode()  # a lone surrogate is a ValueError here, not in some program later
    return value


def _preview(value: Any) -> str:
    if len(_string(value)) > MAX_PREVIEW:
        raise ValueError
    return str(value)


def _names(value: Any) -> tuple[bytes, ...]:
    names = tuple(_octets(name) for name in _list(value, MAX_NAMES))
    if names_size(names) > MAX_NAMES or len(set(names)) < len(names):
        raise ValueError
    if any(name != name.lower() or _NO_NAME.search(name) for name in names):
        raise ValueError
    return names


def _octets(value: Any) -> bytes:
    return _string(value).encode("latin-1")


def _hex(value: Any, size: int) -> bytes:
    octets = bytes.fromhex(_string(value, _HEX))
    if len(octets) != size:
        raise ValueError
    return octets


def _integer(value: Any) -> int:
    if type(value) is not int or not 0 <= value < MAX_SIZE:
        raise TypeError
    return value


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
