"""Words that must not be found anywhere, in every dress they could wear."""

import base64
import quopri
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote


def word(what: str) -> str:
    """A fresh one, long enough to be found by no accident; ends in a letter outside ASCII."""
    return f"Kanarie{what}{secrets.token_hex(8)}ü"


def ascii_word(what: str) -> str:
    """The same for places that take ASCII only."""
    return f"Kanarie{what}{secrets.token_hex(8)}"


def dresses(text: str) -> dict[str, bytes]:
    """How `text` could stand in a file, by name of the encoding."""
    octets = text.encode()
    forms = {
        "utf-8": octets,
        "lower case": text.lower().encode(),
        "upper case": text.upper().encode(),
        "latin-1": text.encode("latin-1"),
        "utf-16-le": text.encode("utf-16-le"),
        "utf-16-be": text.encode("utf-16-be"),
        "utf-32-le": text.encode("utf-32-le"),
        "hex": octets.hex().encode(),
        "HEX": octets.hex().upper().encode(),
        "quoted-printable": quopri.encodestring(octets).rstrip(b"=\n"),
        "url": quote(text).encode(),
        "json": text.encode("ascii", "backslashreplace"),
        "reversed": octets[::-1],
    }
    for shift in range(3):
        # what every base64 text of it has in common, whatever stands before and after it
        inner = slice(-(-shift * 8 // 6), (shift + len(octets)) * 8 // 6)
        forms[f"base64 at {shift}"] = base64.b64encode(bytes(shift) + octets)[inner]
        forms[f"base64url at {shift}"] = base64.urlsafe_b64encode(bytes(shift) + octets)[inner]
    return forms


@dataclass(frozen=True, slots=True)
class Found:
    """A canary where none may be."""

    what: str
    dress: str
    where: str


def search(words: Mapping[str, str], places: Iterable[tuple[str, bytes]]) -> list[Found]:
    """Every canary (name → word) found in the places (name, octets), the names included."""
    wanted = [
        (what, dress, form) for what, text in words.items() for dress, form in dresses(text).items()
    ]
    return [
        Found(what, dress, where)
        for where, octets in places
        for text in (where.encode(), octets, _unfolded(octets))
        for what, dress, form in wanted
        if form in text
    ]


def _unfolded(octets: bytes) -> bytes:
    """Without the line ends that base64 and quoted-printable put inside a word."""
    return octets.replace(b"\r", b"").replace(b"=\n", b"").replace(b"\n", b"")


def files(*folders: Path, but: Iterable[Path] = ()) -> Iterator[tuple[str, bytes]]:
    """Everything below the folders: name and content; a socket or a vanished file has none."""
    left_out = set(but)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path in left_out or path.is_symlink():
                continue
            try:
                yield str(path), path.read_bytes() if path.is_file() else b""
            except FileNotFoundError:
                yield str(path), b""
