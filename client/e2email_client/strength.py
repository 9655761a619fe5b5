"""Whether a new passphrase is strong enough, and in words what is weak about it.

zxcvbn guesses as people who guess do: common passwords, words, names, dates, rows of keys, and
what the account's address gives away.
"""

from __future__ import annotations

import re

from e2email_client.failure import WrongSecret

# Who has the sealed vault (a server, a thief of its disk) pays Argon2id for every guess: three
# passes over 256 MiB take some 0.3 s of a core, so these many take a hundred core-years, or some
# ten thousand in any currency. It is also zxcvbn's highest score (4, "very unguessable").
LEAST_GUESSES = 10**10
# What stands behind this many characters only makes it stronger, and the estimate slow.
LOOKED_AT = 100
_PARTS = re.compile(r"[^\W_]{3,}")
_ADVICE = "Four or five words that have nothing to do with each other make a good passphrase"


def require(passphrase: str, address: str) -> None:
    """WrongSecret for one that is guessed too cheaply; the text does not quote it."""
    from zxcvbn_rs_py import zxcvbn

    left = passphrase[:LOOKED_AT]
    for part in sorted(_PARTS.findall(address), key=len, reverse=True):
        # zxcvbn counts every place that a known word may stand at; here it counts for nothing
        left = re.sub(re.escape(part), "", left, flags=re.IGNORECASE)
    found = zxcvbn(left, [])
    if found.guesses >= LEAST_GUESSES:
        return
    weak = []
    if left != passphrase[:LOOKED_AT]:
        weak.append("What stands in the address counts for nothing.")
    if found.feedback is not None:
        warning = found.feedback.warning
        weak += [str(one) for one in (warning, *found.feedback.suggestions) if one is not None]
    said = " ".join(weak) or "It is too short."
    raise WrongSecret(
        f"This passphrase is too easy to guess (about {_count(found.guesses)} guesses). {said} "
        f"{_ADVICE}."
    )


def _count(guesses: int) -> str:
    for size, name in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if guesses >= size:
            return f"{guesses // size} {name}"
    return str(guesses)
