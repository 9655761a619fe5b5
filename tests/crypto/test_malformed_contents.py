"""Right key, wrong content: whatever stands in a vault, pairing message or backup, it is Damaged.

Such content comes from a later or a broken program, never from a stranger; still nothing but our
own error may leave, with no word of the content in it.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from e2email_crypto import _backup_content, _canonical, errors, pairing, slot, vault
from e2email_crypto.statement import Policy

KEY = slot.AccountKey(bytes(32))
VAULT = vault.Vault(
    1,
    (vault.Identity("AB" * 20, b"secret", b"c", b"r"),),
    vault.StoreKeys(b"\1" * 32, b"\2" * 32, b"\3" * 32),
    b"\4" * 32,
    Policy.SEALED,
    recovery=bytes(16),
    recipients=(b"other",),
    accepted=(b"\5" * 32,),
)
GIFT = pairing.Gift(KEY, b"v", (b"s",), 1, bytes(32), "token", b"\1" * 32, "https://x", b"ca")
CONTENT = _backup_content.Content(
    b"v", (b"s",), (b"c",), (b"r",),
    _backup_content.Settings("https://x", 1, 2, 3, 4, b"\4" * 32, b"ca"),
    b"state", 1,
)  # fmt: skip
FORMATS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "vault": (vault._encode(VAULT), lambda payload: vault._decode(payload, 1)),
    "pairing": (pairing._encode(GIFT), pairing._decode),
    "backup": (_backup_content.encode(CONTENT), _backup_content.decode),
}
WRONG: list[Any] = [
    None, True, False, 0, -1, 1.5, 2**70, "", "x", "\ud800", "=", "AA==\n", "\0", [], ["x"], {},
    [[]], [None], {"a": 1}, "A" * 2_000_000,
]  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything in it."""
    found = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(found):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


@pytest.mark.parametrize("name", FORMATS)
def test_every_value_replaced_by_another_kind_of_value(name: str) -> None:
    payload, decode = FORMATS[name]
    decode(payload)
    refused = 0
    for number in range(len(list(places(json.loads(payload))))):
        for wrong in WRONG:
            value = json.loads(payload)
            container, key = list(places(value))[number]
            container[key] = wrong
            try:
                decode(_canonical.encode(value))
            except ValueError:
                refused += 1
    assert refused > 100


@pytest.mark.parametrize("name", FORMATS)
def test_every_field_left_out(name: str) -> None:
    payload, decode = FORMATS[name]
    for field in json.loads(payload):
        value = json.loads(payload)
        del value[field]
        with pytest.raises(ValueError, match="missing"):
            decode(_canonical.encode(value))


@pytest.mark.parametrize("name", FORMATS)
def test_octets_that_are_no_such_text(name: str) -> None:
    payload, decode = FORMATS[name]
    chance = random.Random(4)
    for _ in range(500):
        bent = bytearray(payload)
        for _ in range(chance.randint(1, 3)):
            bent[chance.randrange(len(bent))] = chance.randrange(256)
        try:
            decode(bytes(bent))
        except ValueError:
            continue
    for other in (b"", b"\xff", b"[" * 100_000, b"1" * 5000, payload.decode().encode("utf-16")):
        with pytest.raises(ValueError):
            decode(other)


def test_a_vault_with_such_content_is_damaged_and_says_nothing_of_it() -> None:
    names = ("alice@example.test", "mail.example.test")
    box = vault._seal(vault.Purpose.VAULT, b'{"secret":"canary"}', 1, KEY, *names)
    with pytest.raises(errors.Damaged) as caught:
        vault.open_vault(box, KEY, *names)
    assert "canary" not in f"{caught.value!r}"
