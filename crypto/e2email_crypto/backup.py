"""The backup file: all that is needed to read an account's mail again, without its server.

docs/specs/backup.md. In front what may be read without a secret and the slots that open the rest;
then keys, history and settings in one box; then, if wanted, all mail as a stream.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from . import _backup_content, _box, _mail_stream, _wire, blob, slot
from ._backup_content import Content, Settings
from ._mail_stream import Mail
from ._pieces import Pieces
from .errors import Damaged, UnknownVersion
from .kdf import hkdf
from .slot import AccountKey, SlotKind

__all__ = ["Content", "Head", "Mail", "Opened", "Settings", "open", "read_head", "verify", "write"]

VERSION = 1
CONTENT_MAX = 64 * 1024 * 1024  # octets of the box; a state of 8 MiB and a long history fit
SLOTS_MAX = 2
DIGEST_SIZE = 32
TIME_MAX = _mail_stream.TIME_MAX
_KIND = b"K"
_LABEL = b"e2email v1 backup"
_MAIL_LABEL = b"e2email v1 backup mail"
_KINDS = {SlotKind.RECOVERY, SlotKind.PASSPHRASE}
_FRONT_MAX = CONTENT_MAX + 16 * 1024  # names and slots


@dataclass(frozen=True, slots=True)
class Head:
    """What is readable without a secret. Not authentic before `open` succeeds."""

    account: str
    server_name: str
    created: int  # seconds since 1970
    has_mail: bool
    slots: tuple[bytes, ...] = field(repr=False)

    def slot(self, kind: SlotKind) -> bytes | None:
        for one in self.slots:
            if slot.inspect(one, self.account, self.server_name).kind is kind:
                return one
        return None


@dataclass(frozen=True, slots=True)
class Opened:
    """`mail` comes one by one and raises Damaged where the file is; None: there is none in it.

    Who acts on all of the mail waits for its end: only there is the file known to be whole.
    """

    head: Head
    content: Content
    mail: Iterator[Mail] | None = field(repr=False)


def write(
    key: AccountKey,
    account: str,
    server_name: str,
    created: int,
    slots: Sequence[bytes],
    content: Content,
    mail: Iterable[Mail] | None = None,
) -> Iterator[bytes]:
    """The file in pieces. `slots`: one of recovery, and one of the passphrase if wanted.

    Raises ValueError where `open` would not give the same back; for a mail, when it comes.
    """
    names = _name(account), _name(server_name)
    kinds = [slot.inspect(one, account, server_name).kind for one in slots]
    if SlotKind.RECOVERY not in kinds or len({*kinds} & _KINDS) != len(kinds):
        raise ValueError("a backup has a slot of recovery and perhaps one of the passphrase")
    if not 0 <= created <= TIME_MAX:
        raise ValueError("a time is not before 1970")
    payload = _backup_content.encode(content)
    size = len(payload) + _box.EXTRA
    if size > CONTENT_MAX:
        raise ValueError("too much for one backup")
    header = (
        _wire.head(_KIND, VERSION)
        + bytes([mail is not None])
        + created.to_bytes(8)
        + _wire.pack(*names)
        + bytes([len(slots)])
        + _wire.pack(*slots)
        + size.to_bytes(4)
    )
    front = _box.seal(key.raw, _LABEL, header, payload)
    return _digested(front, mail, key)


def _digested(front: bytes, mail: Iterable[Mail] | None, key: AccountKey) -> Iterator[bytes]:
    whole = hashlib.sha256(front)
    yield front
    if mail is not None:
        for piece in blob.seal_chunks(_mail_key(key), _aad(front), _mail_stream.encode(mail)):
            whole.update(piece)
            yield piece
    yield whole.digest()


def read_head(pieces: Iterable[bytes]) -> Head:
    """What the file says of itself; of the rest nothing is read.

    Raises UnknownVersion, Damaged, OtherAccount and KdfRefused (of a slot).
    """
    return _head(_front(Pieces(pieces)))[0]


def verify(pieces: Iterable[bytes]) -> Head:
    """Whether every octet is as it was written, by the file's digest and without a secret.

    That finds accidents, not a file made by somebody else. Raises what `read_head` raises.
    """
    source = Pieces(pieces)
    front = _front(source)
    head = _head(front)[0]
    for _ in _until_digest(front, source):
        pass
    return head


def open(pieces: Iterable[bytes], key: AccountKey) -> Opened:
    """Raises what `read_head` raises, and WrongSecret."""
    source = Pieces(pieces)
    front = _front(source)
    head, reader = _head(front)
    payload = _box.open_rest(key.raw, _LABEL, reader)
    try:
        content = _backup_content.decode(payload)
    except ValueError:
        # the cause could quote a secret
        raise Damaged("the backup's content is malformed") from None
    rest = _until_digest(front, source)
    if head.has_mail:
        chunks = blob.open_chunks(_mail_key(key), _aad(front), rest)
        return Opened(head, content, _mail_stream.decode(chunks))
    if any(rest):
        raise Damaged("octets behind the content")
    return Opened(head, content, None)


def _mail_key(key: AccountKey) -> bytes:
    return hkdf(key.raw, _MAIL_LABEL)


def _aad(front: bytes) -> bytes:
    """Ties the mail to this file: all backups of an account have one key."""
    return hashlib.sha256(front).digest()


def _front(source: Pieces) -> bytes:
    """Everything up to the mail, found by its lengths. Nothing of it is verified yet."""
    taken = bytearray()

    def take(size: int, most: int) -> bytes:
        octets = source.take(size) if size <= most else b""
        if len(octets) < size:
            raise Damaged("cut short, or a length outside its limits")
        taken.extend(octets)
        return octets

    def skip(most: int) -> None:
        take(int.from_bytes(take(4, 4)), most)

    start = _wire.head(_KIND, VERSION)
    found = take(len(start), len(start))
    if found[:-1] != start[:-1]:
        raise Damaged("not a backup")
    if found != start:
        raise UnknownVersion(f"format version {found[-1]}; this program knows {VERSION}")
    take(9, 9)
    skip(_wire.NAME_MAX)
    skip(_wire.NAME_MAX)
    for _ in range(min(take(1, 1)[0], SLOTS_MAX)):
        skip(slot.SLOT_MAX)
    skip(CONTENT_MAX)
    return bytes(taken)


def _head(front: bytes) -> tuple[Head, _wire.Reader]:
    """Checks the front's checksum first: an accident is told from anything else."""
    reader = _wire.open_head(front, _KIND, VERSION, _FRONT_MAX)
    mail, created = reader.number(1), reader.number(8)
    account, server_name = reader.field(), reader.field()
    count = reader.number(1)
    if mail > 1 or created > TIME_MAX or not 0 < count <= SLOTS_MAX:
        raise Damaged("a value outside its limits")
    try:
        names = account.decode(), server_name.decode()
        if (_name(names[0]), _name(names[1])) != (account, server_name):
            raise ValueError
    except ValueError:
        raise Damaged("a name is not in normal form") from None
    slots = tuple(reader.field() for _ in range(count))
    kinds = {slot.inspect(one, *names).kind for one in slots}
    if len(kinds) != count or not kinds <= _KINDS:
        raise Damaged("slots that do not belong here")
    reader.number(4)
    return Head(*names, created, bool(mail), slots), reader


def _name(text: str) -> bytes:
    """ValueError also for what is not to be put on a terminal: anybody can write a file's head."""
    if not text.isprintable():
        raise ValueError("a name that is not printable")
    return _wire.name(text)


def _until_digest(front: bytes, source: Pieces) -> Iterator[bytes]:
    """What stands between front and digest; at its end Damaged if the digest does not fit."""
    whole = hashlib.sha256(front)
    held = b""
    while piece := source.some(blob.CHUNK):
        held += piece
        given, held = held[:-DIGEST_SIZE], held[-DIGEST_SIZE:]
        whole.update(given)
        if given:
            yield given
    if whole.digest() != held:
        raise Damaged("the file's checksum does not fit")
