"""The recovery secret in shares (SLIP-39): any m of n give it, fewer say nothing about it.

docs/specs/recovery.md, "Shares". A share does not know its account: the slot it opens does.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import _slip39, _slips
from .errors import Damaged, ShareFault, ShareInvalid
from .recovery import SECRET_SIZE

LEAST = 2  # one share that is enough alone is the secret itself
SHARES_MAX = _slip39.SHARES_MAX
WORD_COUNT = _slip39.WORD_COUNT


@dataclass(frozen=True, slots=True)
class Share:
    """One share, its own checksum right. `needed`: how many of its set are enough."""

    needed: int
    set_of: tuple[object, ...] = field(repr=False)  # equal for shares of one set
    _raw: _slip39.Raw = field(repr=False)


def split(secret: bytes, needed: int, count: int) -> list[tuple[str, ...]]:
    """`count` shares of 20 words, any `needed` of which give the 16 bytes; a new set each time."""
    if len(secret) != SECRET_SIZE:
        raise ValueError(f"a recovery secret has {SECRET_SIZE} bytes")
    if not LEAST <= needed <= count <= SHARES_MAX:
        raise ValueError(f"{LEAST} to {SHARES_MAX} shares, and not more needed than there are")
    made = _slip39.split(secret, needed, count)
    # all of them, and so every way to choose: what does not give the secret back is not given out
    if combine([" ".join(words) for words in made]) != secret:
        raise ValueError("the shares do not give the secret back")
    return made


def read(text: str, number: int = 1) -> Share:
    """One share as a person types it. `number` is what it is called in the error.

    Raises ShareInvalid (MISTYPED, FOREIGN); accepts what `words.decode` accepts.
    """
    found = _slips.read(text, _SCHEME, _slip39.INDEX)
    if isinstance(found, _slips.Slip):
        advice = tuple(f"share {number}: {said}" for said in found.advice)
        raise ShareInvalid(
            ShareFault.MISTYPED, found.cause, _slips.sentences(advice), (number,), found.positions
        )
    try:
        raw = _slip39.read(found)
    except Damaged:
        said = f"Share {number} is right in itself, and another program made it: not for e2email."
        raise ShareInvalid(ShareFault.FOREIGN, "of another kind", said, (number,)) from None
    return Share(raw.threshold, raw.set_of, raw)


def combine(texts: Sequence[str]) -> bytes:
    """The recovery secret. Shares beyond those needed are checked to give the same one.

    Raises ShareInvalid: what `read` raises, OTHER_SET, TWICE, TOO_FEW, TOO_MANY; its `shares` are
    numbered from 1 in the order given.
    """
    if len(texts) > SHARES_MAX:
        said = f"{len(texts)} shares are here, and no set has more than {SHARES_MAX}."
        raise ShareInvalid(ShareFault.TOO_MANY, "too many", said)
    shares = [read(text, number) for number, text in enumerate(texts, 1)]
    check_together(shares)
    if not shares or len(shares) < shares[0].needed:
        raise _too_few(shares)
    base = shares[: shares[0].needed - 1]
    try:
        secrets = {
            _slip39.combine([one._raw for one in (*base, last)]) for last in shares[len(base) :]
        }
    except Damaged:
        secrets = set()
    if len(secrets) != 1 or len(secret := secrets.pop()) != SECRET_SIZE:
        raise _not_together(tuple(range(1, len(shares) + 1)))
    return secret


def check_together(shares: Sequence[Share]) -> None:
    """Whether these can be of one set, so far. Raises ShareInvalid: OTHER_SET, TWICE."""
    sets = Counter(one.set_of for one in shares)
    if len(sets) > 1:
        most = sets.most_common(1)[0][0]
        raise _other_set([at for at, one in enumerate(shares, 1) if one.set_of != most])
    first: dict[int, int] = {}
    for number, one in enumerate(shares, 1):
        at = first.setdefault(one._raw.index, number)
        if at == number:
            continue
        if one != shares[at - 1]:
            raise _not_together((at, number))
        said = f"Shares {at} and {number} are the same one."
        raise ShareInvalid(ShareFault.TWICE, "the same share twice", said, (at, number))


def _too_few(shares: Sequence[Share]) -> ShareInvalid:
    if not shares:
        return ShareInvalid(ShareFault.TOO_FEW, "no share", "No share is here.")
    here, needed = len(shares), shares[0].needed
    said = f"{here} of the {needed} shares that are needed {'is' if here == 1 else 'are'} here"
    return ShareInvalid(
        ShareFault.TOO_FEW,
        f"{here} shares, {needed} needed",
        f"{said}; {needed - here} more.",
        missing=needed - here,
    )


def _other_set(numbers: Sequence[int]) -> ShareInvalid:
    which = " and ".join(map(str, numbers))
    one = len(numbers) == 1
    said = (
        f"{'Share' if one else 'Shares'} {which} {'is' if one else 'are'} not of the same set as "
        "the others. All shares of a set begin with the same three words."
    )
    return ShareInvalid(ShareFault.OTHER_SET, "shares of several sets", said, tuple(numbers))


def _not_together(numbers: tuple[int, ...]) -> ShareInvalid:
    which = " and ".join(map(str, numbers))
    said = f"Shares {which} look as if they were of one set, and do not give one secret."
    return ShareInvalid(ShareFault.OTHER_SET, "shares of several sets", said, numbers)


_SCHEME = _slips.Scheme(
    _slip39.WORDS,
    WORD_COUNT,
    lambda places: len(places) == WORD_COUNT and _slip39.checksum_fits(places),
    searched=True,  # 30 bits of checksum, 21 000 slips
)
