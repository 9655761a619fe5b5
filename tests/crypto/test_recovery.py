"""The recovery secret: its three keys, its slot, its word in the key history."""

from dataclasses import replace

import pytest

from e2email_crypto import arrival, cert, errors, keyedit, recovery, slot, statement

NOW = 1_780_000_000
NAMES = ("alice@example.test", "mail.example.test")
SECRET = bytes(range(16))
KEYS = recovery.split(SECRET, *NAMES)
ALICE = keyedit.new_identity(NAMES[0], "Alice", NOW)


def test_every_key_is_its_own() -> None:
    others = [
        recovery.split(SECRET, "bob@example.test", NAMES[1]),
        recovery.split(SECRET, NAMES[0], "other.example.test"),
        recovery.split(bytes(16), *NAMES),
    ]
    made = [part for keys in (KEYS, *others) for part in (keys.auth, keys.wrap, keys.seed)]
    assert len(set(made)) == 12
    assert all(len(part) == 32 for part in made)
    assert recovery.split(SECRET, "Alice@Example.TEST", "MAIL.example.test") == KEYS


def test_it_is_random() -> None:
    assert len(recovery.generate()) == 16
    assert recovery.generate() != recovery.generate()


def test_nothing_secret_in_its_repr() -> None:
    assert repr(KEYS) == f"Keys(public={KEYS.public!r})"


def test_a_secret_of_another_length_is_misuse() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        recovery.split(bytes(32), *NAMES)


def test_words_open_the_slot() -> None:
    key = slot.AccountKey.generate()
    made = slot.wrap(key, slot.SlotKind.RECOVERY, KEYS.wrap, *NAMES, generation=1)
    typed = " ".join(recovery.to_words(SECRET)).upper()
    wrap = recovery.split(recovery.from_words(typed), *NAMES).wrap
    assert slot.unwrap(made, wrap, *NAMES) == key
    with pytest.raises(errors.WrongSecret):
        slot.unwrap(made, KEYS.auth, *NAMES)  # what the server is shown opens nothing


def test_an_entry_signed_by_recovery_continues_the_history() -> None:
    subkeys = tuple(sub.fingerprint for sub in cert.inspect_cert(ALICE.cert, NOW).subkeys)
    listed = statement.Certificate(ALICE.fingerprint, subkeys)
    start = statement.Statement(
        1, (NAMES[0],), (listed,), statement.Policy.SEALED, NOW, recovery_key=KEYS.public
    )
    first = statement.sign_entry(
        start, ALICE.fingerprint, lambda data: keyedit.sign_detached(ALICE.tsk, data)
    )
    foreign = (statement.Certificate("AB" * 20, ("CD" * 20,)),)
    then = replace(start, sequence=2, previous=first.digest, certificates=foreign)

    def chain(entry: statement.Entry) -> statement.Statement:
        entries = [first.encode(), entry.encode()]
        return statement.verify_chain(entries, [ALICE.cert], NAMES[0])

    assert chain(recovery.sign_entry_by_recovery(then, KEYS)) == then
    other = recovery.split(bytes(16), *NAMES)
    as_device = arrival.ArrivalKey(KEYS.seed).sign(then.encode())
    for entry in (
        recovery.sign_entry_by_recovery(then, other),
        statement.Entry(then.encode(), statement.Authority.RECOVERY, signature=as_device),
    ):
        with pytest.raises(errors.StatementInvalid, match="recovery key"):
            chain(entry)
