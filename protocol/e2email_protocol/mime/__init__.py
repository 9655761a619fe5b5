"""MIME read from octets: structure, header fields, IMAP's views, text for people. Pure functions.

The standard library's `email` package is not used for received mail: it crashes on some of it,
recurses, and changes octets when it writes them back.
"""

from .part import Part
from .scan import DEFAULT_LIMITS, Limits, scan

__all__ = ["DEFAULT_LIMITS", "Limits", "Part", "scan"]
