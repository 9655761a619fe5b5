"""The only module that touches shamir-mnemonic. Its errors quote words, so none leaves here."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from shamir_mnemonic import MnemonicError, Share, constants, rs1024, shamir, wordlist

from .errors import Damaged

WORDS: tuple[str, ...] = tuple(wordlist.WORDLIST)
INDEX: dict[str, int] = dict(wordlist.WORD_INDEX_MAP)
WORD_COUNT = 20  # of a share of 16 octets
SHARES_MAX = constants.MAX_SHARE_COUNT

# PBKDF2 stretches a passphrase on the secret, and we have none: at 0 it does the least it can
_EXPONENT = 0
_EXPONENT_MAX = 5  # what other programs use, and no more: each step doubles the time
_PASSPHRASE = b""
_EXTENDABLE_BIT = 1 << 4  # of the second word: it says which checksum is meant


@dataclass(frozen=True, slots=True)
class Raw:
    """A share as the library has it. `set_of` is equal for shares that were made together."""

    set_of: tuple[object, ...]
    index: int
    threshold: int
    share: Share = field(repr=False)


def split(secret: bytes, threshold: int, count: int) -> list[tuple[str, ...]]:
    """The words of `count` shares, any `threshold` of which give the secret."""
    groups = [(threshold, count)]
    (group,) = shamir.generate_mnemonics(1, groups, secret, _PASSPHRASE, True, _EXPONENT)
    return [tuple(share.split()) for share in group]


def checksum_fits(places: Sequence[int]) -> bool:
    extendable = places[1] & _EXTENDABLE_BIT
    label = (
        constants.CUSTOMIZATION_STRING_EXTENDABLE
        if extendable
        else constants.CUSTOMIZATION_STRING_ORIG
    )
    return bool(rs1024.verify_checksum(list(places), label))


def read(places: Sequence[int]) -> Raw:
    """Raises Damaged where words with a right checksum are no share as `split` makes them."""
    try:
        share = Share.from_mnemonic(wordlist.mnemonic_from_indices(places))
    except MnemonicError:
        raise Damaged("no share of SLIP-39") from None
    if share.group_count != 1 or share.member_threshold == 1:
        raise Damaged("a share of several groups, or of one alone")
    if share.iteration_exponent > _EXPONENT_MAX:
        raise Damaged("a share that would take hours to open")
    return Raw(tuple(share.group_parameters()), share.index, share.member_threshold, share)


def combine(shares: Sequence[Raw]) -> bytes:
    """The secret, of just as many shares as are needed. Damaged: they are of several secrets."""
    group = shamir.ShareGroup()
    try:
        for one in shares:
            group.add(one.share)
        secret = shamir.recover_ems({0: group}).decrypt(_PASSPHRASE)
    except MnemonicError:
        raise Damaged("shares that do not belong together") from None
    return bytes(secret)
