"""Every error that leaves this package. Messages are ours, never a library's.

Library error text can carry key material or backtraces, so it is dropped where it is converted.
Each text here is safe for an operator's log; none of it is meant for a remote peer.
"""

from enum import StrEnum


class CryptoError(Exception):
    """Base of all errors of this package."""


class BadKey(CryptoError):
    """These octets are no OpenPGP certificate or secret key that can be read."""


class PassphraseNeeded(CryptoError):
    """A secret key in a file is protected by a passphrase, and none was given."""


class SecretMissing(BadKey):
    """A file names a secret key without having it: exported without, or kept on a smartcard."""

    def __init__(self, *, on_card: bool) -> None:
        where = "is on a smartcard" if on_card else "was left out of this file"
        super().__init__(f"a secret key that {where}")
        self.on_card = on_card


class OtherKey(CryptoError):
    """Two certificates that do not have the same primary key."""


class Refusal(StrEnum):
    """Why mail is not encrypted to a certificate."""

    TOO_BIG = "too-big"
    TOO_MANY_PACKETS = "too-many-packets"
    UNREADABLE = "unreadable"
    SECRET_KEY = "secret-key"  # noqa: S105  # a reason, not a password
    REVOKED = "revoked"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    WEAK = "weak"
    FORGED_BINDING = "forged-binding"
    CANNOT_ENCRYPT = "cannot-encrypt"


class KeyRefused(CryptoError):
    """A certificate is readable or not, but mail must not be encrypted to it."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(f"certificate refused: {reason.value}")
        self.reason = reason

    def __reduce__(self) -> tuple[type["KeyRefused"], tuple[Refusal]]:
        # raised in sealing worker processes: it must survive pickling
        return (KeyRefused, (self.reason,))


class SealFailed(CryptoError):
    """Nothing was sealed, or what was sealed is not addressed as asked."""


class OpenFailed(CryptoError):
    """A message was not opened. One text for every cause, so that nobody gets an oracle.

    `final` is False when the worker died, ran out of time or did not start: the same octets might
    open on a freer machine. It decides whether to try again later, and must not reach a remote
    peer. `alone`, of these, tells a death in a child that had met this message and no other.
    """

    def __init__(self, *, final: bool = True, alone: bool = False) -> None:
        super().__init__("the message cannot be opened")
        self.final = final
        self.alone = alone


class TooLarge(CryptoError):
    """An input or output is above its limit."""


class SignatureInvalid(CryptoError):
    """A signature does not verify by the key it must be from."""


class BadArmor(CryptoError):
    """Text that is not exactly one block of OpenPGP ASCII armor (RFC 9580, section 6)."""


class BadMessage(CryptoError):
    """Octets that are not exactly PKESK+ SEIPD, or not OpenPGP packets at all."""


class StatementInvalid(CryptoError):
    """An account statement is malformed, unsigned, or does not follow the one before it."""


class SecretError(CryptoError):
    """A slot, vault or box cannot be opened."""


class WrongSecret(SecretError):
    """The passphrase, recovery secret or key is not the one this was wrapped under."""


class Damaged(SecretError):
    """The secret fits and the content does not verify: changed or cut short."""


class RolledBack(SecretError):
    """Whole and authentic, and older than what this device has seen: somebody put it back."""

    def __init__(self, found: int, seen: int) -> None:
        super().__init__(f"older (version {found}) than what was seen before (version {seen})")
        self.found = found
        self.seen = seen


class UnknownVersion(SecretError):
    """A format version or algorithm that this program does not know; there is no fallback."""


class OtherAccount(SecretError):
    """The box belongs to another account or another server name."""


class Expired(SecretError):
    """Whole and authentic, and only meant for a time that is over."""


class KdfRefused(SecretError):
    """Key derivation parameters below the floor or above the ceiling."""


class WordsInvalid(CryptoError):
    """Words that are no secret, most likely mistyped. Neither text nor repr holds any of them.

    `positions` of the words in question begin at 1; `advice` quotes words and is for the person
    who typed them, on the terminal they were typed at, and for no log.
    """

    def __init__(self, cause: str, advice: str, positions: tuple[int, ...] = ()) -> None:
        where = f" (word {', '.join(map(str, positions))})" if positions else ""
        super().__init__(cause + where)
        self.advice = advice
        self.positions = positions


class ShareFault(StrEnum):
    """Why shares give no secret."""

    MISTYPED = "mistyped"
    FOREIGN = "foreign"  # right in itself, and not as this program makes them
    OTHER_SET = "other-set"
    TWICE = "twice"
    TOO_FEW = "too-few"
    TOO_MANY = "too-many"


class ShareInvalid(CryptoError):
    """Shares that give no secret. Neither text nor repr holds a word of them.

    `shares` in question and `positions` of words begin at 1; `missing` is how many more are
    needed. `advice` as in WordsInvalid.
    """

    def __init__(
        self,
        fault: ShareFault,
        cause: str,
        advice: str,
        shares: tuple[int, ...] = (),
        positions: tuple[int, ...] = (),
        missing: int = 0,
    ) -> None:
        where = f"share {', '.join(map(str, shares))}: " if shares else ""
        words = f" (word {', '.join(map(str, positions))})" if positions else ""
        super().__init__(where + cause + words)
        self.fault = fault
        self.advice = advice
        self.shares = shares
        self.positions = positions
        self.missing = missing


class PartFault(StrEnum):
    """Why codes from paper do not give their content."""

    NOT_A_PART = "not-a-part"
    OTHER_VERSION = "other-version"
    DAMAGED = "damaged"
    OTHER_SET = "other-set"
    MISSING = "missing"


class PartsInvalid(CryptoError):
    """Codes from paper that do not give their content. `parts` are the numbers printed on them.

    The parts are no secret; the text is for the person who scanned them.
    """

    def __init__(self, fault: PartFault, said: str, parts: tuple[int, ...] = ()) -> None:
        super().__init__(said)
        self.fault = fault
        self.parts = parts
