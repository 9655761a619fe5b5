"""Octets in a declared charset to text. Never fails: what is unknown or wrong is guessed.

The standard codec registry is asked only for names in its own alias table: an unknown name would
cost a search on disk and stay in its cache for ever, and some codecs (idna, punycode) take
quadratic time.
"""

import codecs
import re
from encodings.aliases import aliases

# ISO 8859-1 as the web reads it: the C1 controls of Latin-1 are Windows letters in real mail.
_LAST_RESORT = "cp1252"
_NOT_TEXT = frozenset(
    {
        "base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec",
        "zlib_codec", "idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined",
        "mbcs", "oem", "ascii",
    }
)  # fmt: skip
# Names that mail uses and Python lacks, and those whose superset is what senders mean.
_MEANT = {
    "iso8859_1": "cp1252",
    "latin_1": "cp1252",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x_gbk": "gb18030",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "euc_kr": "cp949",
    "ks_c_5601_1987": "cp949",
    "big5": "cp950",
    "x_big5": "cp950",
    "iso_8859_8_i": "iso8859_8",
    "iso_8859_8_e": "iso8859_8",
    "unicode_1_1_utf_7": "utf_7",
    "utf_8_bom": "utf_8_sig",
    "utf8mb4": "utf_8",
    "x_mac_roman": "mac_roman",
    "x_windows_949": "cp949",
    "iso_2022_jp": "iso2022_jp_ext",
    "iso2022_jp": "iso2022_jp_ext",
    "windows_874": "cp874",
    "x_x_big5": "cp950",
}
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_LONE_HALF = re.compile("[\ud800-\udfff]")
_CODECS = frozenset(aliases.values()) | {"utf_8_sig", "cp874", "koi8_u", "koi8_t", "mac_turkish"}
# longest charset name of the IANA registry is 45
MAX_CHARSET_NAME = 64


def codec_for(charset: bytes) -> str | None:
    """The codec to use for a declared charset, or None where it is unknown or ASCII, which says
    nothing about the octets it does not have."""
    name = charset[: MAX_CHARSET_NAME + 1].decode("latin-1").lower().partition("*")[0]
    if len(name) > MAX_CHARSET_NAME:
        return None
    name = _SEPARATORS.sub("_", name).strip("_")
    name = _MEANT.get(name, name)
    name = aliases.get(name, name)
    name = _MEANT.get(name, name)
    return name if name in _CODECS and name not in _NOT_TEXT else None


def decode(octets: bytes, charset: bytes = b"") -> str:
    """Text of the octets: the declared charset, else UTF-8, else Windows-1252.

    A charset that fits but for a few octets is kept, with U+FFFD in their place. Every result can
    be encoded again: it holds no half of a surrogate pair.
    """
    codec = codec_for(charset)
    if codec is not None and codec != "utf_8":
        try:
            text = codecs.lookup(codec).decode(octets, "replace")[0]
            # of all codecs only this one lets halves through, "replace" or not
            return _LONE_HALF.sub("\ufffd", text) if codec == "utf_7" else text
        except (LookupError, UnicodeError):
            pass  # e.g. a UTF-16 text of odd length: guess
    return _guess(octets, declared=codec is not None and bool(charset))


def _guess(octets: bytes, declared: bool) -> str:
    try:
        text, used = codecs.utf_8_decode(octets, "strict", not declared)
    except UnicodeDecodeError:
        # a broken UTF-8 text still has valid sequences; in Latin text they hardly occur
        lenient = octets.decode("utf-8", "replace")
        if declared and lenient.count("\ufffd") * 10 < len(lenient):
            return lenient
        return octets.decode(_LAST_RESORT, "replace")
    return text if used == len(octets) else text + "\ufffd"  # cut in the last character
