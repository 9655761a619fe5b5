"""Mail addresses as SMTP speaks them: paths and parameters of MAIL and RCPT (RFC 5321 §4.1.2).

Strict about everything that could be read in two ways (brackets, quoting, control characters,
white space), lenient only about dots: `a..b@x` and `a.@x` are not addresses by RFC 5321, but
mobile carriers gave out millions of them and their mail is real.
"""

import re
import unicodedata
from dataclasses import dataclass

LOCAL_OCTETS = 64  # RFC 5321 §4.5.3.1.1
DOMAIN_OCTETS = 255  # RFC 5321 §4.5.3.1.2
PATH_CHARACTERS = 1024  # RFC 5321 says 256 octets; source routes (accepted, ignored) are longer
PARAMETER_COUNT = 16  # more keywords than all registered ones for MAIL and RCPT together

_UTF8 = r"\x80-\ud7ff\ue000-\U0010ffff"  # RFC 6531 §3.3, without the surrogates of broken UTF-8
_ATOM = rf"[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~.{_UTF8}-]+"
_QUOTED = rf'"(?:[ !#-\[\]-~{_UTF8}]|\\[ -~])*"'
_DOMAIN = rf"[A-Za-z0-9_{_UTF8}-]+(?:\.[A-Za-z0-9_{_UTF8}-]+)*"
_LITERAL = r"\[[!-Z^-~]+\]"
_MAILBOX = rf"(?P<local>{_ATOM}|{_QUOTED})@(?P<domain>{_DOMAIN}|{_LITERAL})"
_ROUTE = rf"(?:@{_DOMAIN}(?:,@{_DOMAIN})*:)?"
_PATH = re.compile(rf"<(?:{_ROUTE}{_MAILBOX}|(?P<bare>[Pp][Oo][Ss][Tt][Mm][Aa][Ss][Tt][Ee][Rr]))?>")
_ADDRESS = re.compile(_MAILBOX)
_ATOM_ONLY = re.compile(_ATOM)
_KEYWORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VALUE = re.compile(rf"[!-<>-~{_UTF8}]+")


class BadAddress(ValueError):
    """Not an address, or not a parameter list. Carries nothing of what was sent."""


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox: `local` unquoted, `domain` as sent; `domain` is "" only for bare `<postmaster>`.

    The null reverse-path `<>` is None, not an Address.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        """As it stands in a path, quoted again where it must be."""
        local = self.local if _ATOM_ONLY.fullmatch(self.local) else _quote(self.local)
        return f"{local}@{self.domain}" if self.domain else local

    def __repr__(self) -> str:
        return "Address(...)"

    @property
    def ascii(self) -> bool:
        return self.local.isascii() and self.domain.isascii()

    @property
    def key(self) -> tuple[str, str]:
        """(local, domain) in the one form that comparisons use: lower case, NFC, A-labels."""
        return unicodedata.normalize("NFC", self.local.lower()), domain_key(self.domain)


def domain_key(domain: str) -> str:
    """The form in which domains are compared: lower case, U-labels as A-labels."""
    if domain.isascii():
        return domain.lower()
    try:
        return domain.lower().encode("idna").decode("ascii")
    except UnicodeError:
        return domain.lower()


def parse_address(text: str) -> Address:
    """`local@domain` without brackets. Raises BadAddress."""
    match = _ADDRESS.fullmatch(text) if len(text) <= PATH_CHARACTERS else None
    if match is None:
        raise BadAddress("not an address")
    return _mailbox(match["local"], match["domain"])


def parse_path(text: str) -> tuple[Address | None, str]:
    """A Reverse-path or Forward-path at the start of `text` → (address, what follows).

    `<>` gives None, `<postmaster>` an Address without a domain. A source route is dropped
    (RFC 5321 §4.1.1.3: accept, ignore). Raises BadAddress.
    """
    match = _PATH.match(text[:PATH_CHARACTERS])
    if match is None:
        raise BadAddress("not a path")
    rest = text[match.end() :]
    if rest and not rest.startswith(" "):
        raise BadAddress("text after the path")
    if match["bare"]:
        return Address("postmaster", ""), rest
    if match["local"] is None:
        return None, rest
    return _mailbox(match["local"], match["domain"]), rest


def parse_parameters(text: str) -> dict[str, str]:
    """`SP KEYWORD[=value]`… of RFC 5321 §4.1.2 → {KEYWORD: value, or "" where none}.

    Keywords in upper case, values as sent. Raises BadAddress, also for a keyword given twice.
    """
    found: dict[str, str] = {}
    for word in text.split():
        keyword, equals, value = word.partition("=")
        well_formed = _KEYWORD.fullmatch(keyword) and (not equals or _VALUE.fullmatch(value))
        if not well_formed or keyword.upper() in found or len(found) == PARAMETER_COUNT:
            raise BadAddress("bad parameters")
        found[keyword.upper()] = value
    return found


def _mailbox(local: str, domain: str) -> Address:
    if local.startswith('"'):
        local = re.sub(r"\\(.)", r"\1", local[1:-1])
    labels = [] if domain.startswith("[") else domain.split(".")
    if any(label[0] == "-" or label[-1] == "-" or len(label) > 63 for label in labels):
        raise BadAddress("bad domain label")
    if not local or len(local.encode()) > LOCAL_OCTETS or len(domain.encode()) > DOMAIN_OCTETS:
        raise BadAddress("address too long or empty")
    return Address(local, domain)


def _quote(local: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", local) + '"'
