"""What goes over the pipes between `parsing` and its child processes."""

from __future__ import annotations

import struct
from enum import IntEnum

# kind, seconds allowed, octets of the first and of the second string
REQUEST = struct.Struct("!BIII")


class Kind(IntEnum):
    HEADING = 0  # of header fields
    DIGEST = 1  # of a whole mail
    VIEW = 2  # of the header around an encrypted entity, and the entity
    AUTOCRYPT = 3  # of a header: the key that it offers
