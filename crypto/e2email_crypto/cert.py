"""OpenPGP certificates: what they say, whose signature it is, two of one key put together.

The door; `certfacts` judges, `certmerge` puts together and takes away.
"""

from .certfacts import (
    BAD_HASHES,
    CLOCK_SKEW,
    ENCRYPTING,
    MAX_CERT,
    MAX_CERT_PACKETS,
    MAX_SIGNATURE,
    CertInfo,
    Subkey,
    SubkeyState,
    examine,
    inspect_cert,
    key_of,
    names,
    one_binary_signature,
    one_signature,
    read_packets,
    verify_signed_by,
)
from .certmerge import merge, minimal, publishable

__all__ = [
    "BAD_HASHES",
    "CLOCK_SKEW",
    "ENCRYPTING",
    "MAX_CERT",
    "MAX_CERT_PACKETS",
    "MAX_SIGNATURE",
    "CertInfo",
    "Subkey",
    "SubkeyState",
    "examine",
    "inspect_cert",
    "key_of",
    "merge",
    "minimal",
    "names",
    "one_binary_signature",
    "one_signature",
    "publishable",
    "read_packets",
    "verify_signed_by",
]
