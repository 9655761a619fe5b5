"""The only module that touches python-mnemonic: it is where the English list of BIP-39 lies."""

from mnemonic import Mnemonic

BITS = 11

# 2048 words in alphabetical order, a word's first four letters its own
WORDS: tuple[str, ...] = tuple(Mnemonic("english").wordlist)
INDEX = {word: at for at, word in enumerate(WORDS)}
