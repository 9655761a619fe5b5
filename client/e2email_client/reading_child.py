"""The child process of `reading`: one mail on standard input, its text as JSON on standard output.

It never sees a key, and neither does anything that it imports.
"""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator

from e2email_client.confined import confine
from e2email_client.html import to_text
from e2email_protocol.mime import text as mime_text
from e2email_protocol.mime.scan import Part, scan

# Seconds of processor time; `reading.DEADLINE` is the wall's.
CPU = 15
# Text of one mail, in characters, and of one part, in octets: nobody reads further on a screen.
MAX_TEXT = 4 * 1024 * 1024
MAX_PART = 8 * 1024 * 1024
# Attachments that are listed by name
MAX_ATTACHMENTS = 1_000
_MAX_NAME = 1_000


def main() -> None:
    source, answers = confine()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU, CPU))
    answer = json.dumps(_read(source.read())).encode("ascii")
    with answers as pipe:
        pipe.write(answer)


def _read(octets: bytes) -> dict[str, object]:
    root = scan(octets)
    found = list(_texts(octets, root))
    text = "\n\n".join(shown for _, shown in found)
    attachments = mime_text.attachments(root)
    return {
        "text": text[:MAX_TEXT],
        "source": found[0][0] if found else "",
        "cut": len(text) > MAX_TEXT,
        "attachments": [
            (one.media[:_MAX_NAME], one.name[:_MAX_NAME], one.size)
            for one in attachments[:MAX_ATTACHMENTS]
        ],
        "attached": len(attachments),
    }


def _texts(octets: bytes, root: Part) -> Iterator[tuple[str, str]]:
    """(media type, text) of the parts that are read, in order, until there is enough."""
    offered = {id(one.part) for one in mime_text.attachments(root)}
    waiting, length = [root], 0
    while waiting and length <= MAX_TEXT:
        part = waiting.pop()
        if part.media == "multipart/alternative" and part.children:
            waiting.append(_best(octets, part))
        elif part.is_multipart:
            waiting.extend(reversed(part.children))
        elif id(part) not in offered and part.media.startswith("text/"):
            shown = _text(octets, part)
            length += len(shown)
            if shown.strip():
                yield part.media, shown


def _best(octets: bytes, part: Part) -> Part:
    """Of alternatives: plain text that says something, else the last one, which is the richest."""
    for child in part.children:
        if child.media == "text/plain" and mime_text.text(octets, child, MAX_PART).strip():
            return child
    return part.children[-1]


def _text(octets: bytes, part: Part) -> str:
    text = mime_text.text(octets, part, MAX_PART)
    return to_text(text) if part.media == "text/html" else text
