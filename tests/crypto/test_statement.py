"""Statements: canonical octets, limits, and a flip anywhere in a chain."""

import json
from dataclasses import replace

import pytest

from e2email_crypto import arrival, cert, errors, keyedit, statement
from e2email_crypto.statement import Authority, Certificate, Entry, Policy, Statement

NOW = 1_780_000_000
ACCOUNT = "alice@example.test"
ALICE = keyedit.new_identity(ACCOUNT, "Alice", NOW)
SUBKEYS = tuple(sub.fingerprint for sub in cert.inspect_cert(ALICE.cert, NOW).subkeys)
LISTED = Certificate(ALICE.fingerprint, SUBKEYS)
START = Statement(1, (ACCOUNT,), (LISTED,), Policy.SEALED, NOW)


def signed(made: Statement) -> Entry:
    return statement.sign_entry(
        made, ALICE.fingerprint, lambda data: keyedit.sign_detached(ALICE.tsk, data)
    )


FIRST = signed(START)
NEXT = replace(START, sequence=2, previous=FIRST.digest, time=NOW + 1, policy=Policy.BASELINE)
SECOND = signed(NEXT)
CHAIN = [FIRST.encode(), SECOND.encode()]


def verify(*entries: bytes) -> Statement:
    return statement.verify_chain(entries, [ALICE.cert], ACCOUNT)


def refuse(*entries: bytes, match: str | None = None) -> None:
    with pytest.raises(errors.StatementInvalid, match=match):
        verify(*entries)


def test_there_and_back() -> None:
    assert statement.decode(START.encode()) == START
    assert Entry.decode(FIRST.encode()) == FIRST
    assert verify(*CHAIN) == NEXT


def test_a_generated_history_is_read_in_any_number_of_steps() -> None:
    assert verify(CHAIN[0]) == START
    assert statement.verify_next(CHAIN[0], CHAIN[1], [ALICE.cert], ACCOUNT) == NEXT
    with pytest.raises(errors.StatementInvalid, match="does not follow"):
        statement.verify_next(CHAIN[1], CHAIN[1], [ALICE.cert], ACCOUNT)


def test_key_ids_are_what_pkesks_name() -> None:
    v4, v6 = "00" * 12 + "0123456789ABCDEF", "FEDCBA9876543210" + "00" * 24
    certificates = (
        Certificate("AA" * 20, (v4,)),
        Certificate("BB" * 32, (v6, "0F" * 32)),
    )
    made = replace(START, certificates=certificates)
    assert made.key_ids == {"0123456789ABCDEF", "FEDCBA9876543210", "0F" * 8}
    assert made.fingerprints == {"AA" * 20, "BB" * 32}
    own = cert.inspect_cert(ALICE.cert, NOW)
    assert START.key_ids == {sub.key_id for sub in own.subkeys}


def test_every_flipped_octet_of_a_chain_is_refused_outside_the_signature() -> None:
    for number, entry in enumerate(CHAIN):
        start = entry.index(b'"signature":"')
        end = entry.index(b'","signer"')
        for at in [*range(start + 13), *range(end, len(entry))]:
            bent = entry[:at] + bytes([entry[at] ^ 1]) + entry[at + 1 :]
            refuse(*CHAIN[:number], bent, *CHAIN[number + 1 :])


def test_every_flipped_octet_of_a_statement_is_refused() -> None:
    octets = FIRST.statement
    for at in range(len(octets)):
        bent = octets[:at] + bytes([octets[at] ^ 1]) + octets[at + 1 :]
        refuse(replace(FIRST, statement=bent).encode())


def test_every_flipped_octet_of_a_signature_is_refused_or_changes_no_head() -> None:
    """OpenPGP leaves the issuer's key id and a hint unsigned; that must not look like a fork."""
    unsigned = 0
    for at in range(len(FIRST.signature)):
        bent = bytearray(FIRST.signature)
        bent[at] ^= 1
        entry = replace(FIRST, signature=bytes(bent))
        try:
            verify(entry.encode())
        except errors.StatementInvalid:
            continue
        unsigned += 1
        assert entry.digest == FIRST.digest
    assert unsigned < 20


def test_every_cut_is_refused() -> None:
    for end in range(len(CHAIN[1])):
        refuse(CHAIN[0], CHAIN[1][:end])


def test_the_head_commits_to_statement_authority_and_signer() -> None:
    others = [
        replace(FIRST, statement=NEXT.encode()),
        replace(FIRST, authority=Authority.FORCED, signer=""),
        replace(FIRST, signer="AA" * 20),
    ]
    assert len({entry.digest for entry in (FIRST, *others)}) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"sequence": 0},
        {"sequence": 2},
        {"previous": b"\0" * 32},
        {"addresses": ()},
        {"addresses": (ACCOUNT, ACCOUNT)},
        {"addresses": ("Alice@example.test",)},
        {"addresses": ("alice",)},
        {"addresses": ("alice @example.test",)},
        {"addresses": ("ali\0ce@example.test",)},
        {"addresses": ("ali\u202ece@example.test",)},
        {"addresses": ("cafe\u0301@example.test",)},
        {"addresses": ("\ud800@example.test",)},
        {"addresses": ("a" * 320 + "@example.test",)},
        {"addresses": tuple(f"a{n}@example.test" for n in range(101))},
        {"certificates": ()},
        {"certificates": (LISTED, LISTED)},
        {"certificates": (LISTED, Certificate(LISTED.fingerprint, ("AA" * 20,)))},
        {"certificates": (Certificate(LISTED.fingerprint, ()),)},
        {"certificates": (Certificate(LISTED.fingerprint, SUBKEYS * 2),)},
        {"certificates": (Certificate("AA" * 8, SUBKEYS),)},
        {"certificates": (Certificate("aa" * 20, SUBKEYS),)},
        {"certificates": tuple(Certificate(f"{n:040X}", SUBKEYS) for n in range(17))},
        {"certificates": (Certificate("AA" * 20, tuple(f"{n:040X}" for n in range(33))),)},
        {"device_keys": (b"short",)},
        {"device_keys": (b"\0" * 32, b"\0" * 32)},
        {"device_keys": tuple(n.to_bytes(32) for n in range(101))},
        {"recovery_key": b""},
        {"time": -1},
        {"time": 2**53},
        {"time": True},
        {"time": 1.0},
    ],
)
def test_a_statement_outside_its_limits_is_neither_written_nor_read(
    change: dict[str, object],
) -> None:
    with pytest.raises(errors.StatementInvalid):
        replace(START, **change).encode()


def test_the_limits_themselves_are_allowed() -> None:
    made = replace(
        START,
        addresses=tuple(f"a{n}@example.test" for n in range(100)),
        certificates=tuple(Certificate(f"{n:064X}", (f"{n:040X}",)) for n in range(16)),
        device_keys=tuple(n.to_bytes(32) for n in range(100)),
        recovery_key=b"\1" * 32,
        time=2**53 - 1,
    )
    assert statement.decode(made.encode()) == made
    caf = replace(START, addresses=("caf\u00e9@example.test",))
    assert statement.decode(caf.encode()) == caf


def test_too_long_is_refused_unread() -> None:
    with pytest.raises(errors.StatementInvalid, match="too long"):
        statement.decode(b"[" * 70_000)
    with pytest.raises(errors.StatementInvalid, match="too long"):
        Entry.decode(b"[" * 140_000)


@pytest.mark.parametrize(
    "octets",
    [b"", b"[]", b"{}", b"null", b"[" * 60_000, b"\xff", b'"\\ud800"', b"1" * 5000, b"NaN",
     b'{"version":1}', b'{"version":"1"}', "{}".encode("utf-16")],
)  # fmt: skip
def test_other_json_is_refused(octets: bytes) -> None:
    for read in (statement.decode, Entry.decode):
        with pytest.raises(errors.StatementInvalid):
            read(octets)


def test_a_later_version_is_named_as_such() -> None:
    later = FIRST.statement.replace(b'"version":1', b'"version":2')
    with pytest.raises(errors.StatementInvalid, match="version 2 is unknown"):
        statement.decode(later)
    with pytest.raises(errors.StatementInvalid, match="version 9 is unknown"):
        Entry.decode(FIRST.encode().replace(b'"version":1', b'"version":9'))


def test_a_history_has_a_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statement, "ENTRIES_MAX", 1)
    refuse(*CHAIN, match="too many")


def test_signer_and_signature_fit_the_authority() -> None:
    for bad in (
        replace(FIRST, signature=b""),
        replace(FIRST, signer=""),
        replace(FIRST, authority=Authority.FORCED),
        replace(FIRST, authority=Authority.RECOVERY),
        replace(FIRST, signature=bytes(statement.SIGNATURE_MAX + 1)),
    ):
        with pytest.raises(errors.StatementInvalid, match="malformed"):
            Entry.decode(bad.encode())


def test_a_recovery_key_takes_over() -> None:
    key = arrival.ArrivalKey.generate()
    first = signed(replace(START, recovery_key=key.public))
    foreign = replace(NEXT, previous=first.digest, certificates=(Certificate("AA" * 20, SUBKEYS),))
    octets = foreign.encode()
    by = statement._sodium.sign(statement.signed_octets(octets), key._secret)
    entry = Entry(octets, Authority.RECOVERY, signature=by)
    assert verify(first.encode(), entry.encode()) == foreign
    # not where the entry before names none, and not by an arrival signature of the same key
    refuse(FIRST.encode(), entry.encode(), match="does not follow")
    arrived = Entry(octets, Authority.RECOVERY, signature=key.sign(octets))
    refuse(first.encode(), arrived.encode(), match="not signed by the recovery key")


def test_a_forced_entry_is_taken_by_whoever_asked_for_it_only() -> None:
    forced = Entry(NEXT.encode(), Authority.FORCED)
    refuse(FIRST.encode(), forced.encode(), match="forced")
    entries = [FIRST.encode(), forced.encode()]
    accepted = {forced.digest}
    newest = statement.verify_chain(entries, [ALICE.cert], ACCOUNT, accepted=accepted)
    assert newest == NEXT
    with pytest.raises(errors.StatementInvalid, match="forced"):
        statement.verify_next(*entries, [ALICE.cert], ACCOUNT)
    assert statement.verify_next(*entries, [ALICE.cert], ACCOUNT, accepted=accepted) == NEXT


def test_an_accepted_override_is_no_excuse_for_another_one() -> None:
    looked_at = Entry(NEXT.encode(), Authority.FORCED)
    other = Entry(replace(NEXT, time=NOW + 9).encode(), Authority.FORCED)
    for accepted in ({looked_at.digest}, {FIRST.digest}, {other.statement}):
        with pytest.raises(errors.StatementInvalid, match="forced"):
            statement.verify_chain(
                [FIRST.encode(), other.encode()], [ALICE.cert], ACCOUNT, accepted=accepted
            )


def test_a_subkey_or_user_cannot_sign_for_the_primary() -> None:
    other = keyedit.new_identity(ACCOUNT, "Alice", NOW)
    bent = replace(FIRST, signature=keyedit.sign_detached(other.tsk, b"x"))
    with pytest.raises(errors.StatementInvalid, match="does not verify"):
        statement.verify_chain([bent.encode()], [ALICE.cert, other.cert], ACCOUNT)


def test_causes_are_told_apart() -> None:
    refuse(match="no entry")
    refuse(CHAIN[1], match="entry 1 does not follow")
    refuse(CHAIN[0], CHAIN[0], match="entry 2 does not follow")
    with pytest.raises(errors.StatementInvalid, match="another account"):
        statement.verify_chain(CHAIN, [ALICE.cert], "bob@example.test")
    with pytest.raises(errors.StatementInvalid, match="is missing"):
        statement.verify_chain(CHAIN, [], ACCOUNT)
    with pytest.raises(errors.StatementInvalid, match="cannot be read"):
        statement.verify_chain(CHAIN, [b"x"], ACCOUNT)


def test_an_entry_is_one_line_that_any_json_reader_reads() -> None:
    value = json.loads(CHAIN[0])
    assert set(value) == {"authority", "signature", "signer", "statement", "version"}
    assert b"\n" not in CHAIN[0]
    assert CHAIN[0].isascii()


def test_what_leads_to_an_entry_seen_before_is_not_asked_who_vouches_for_it() -> None:
    gone = keyedit.apply_revocation(ALICE.cert, ALICE.revocation)

    def follow(*entries: Entry, seen: tuple[Entry, ...]) -> Statement:
        octets = [one.encode() for one in entries]
        return statement.verify_chain(octets, [gone], ACCOUNT, seen={one.digest for one in seen})

    assert follow(FIRST, SECOND, seen=(SECOND,)) == NEXT
    third = signed(replace(NEXT, sequence=3, previous=SECOND.digest))
    for entries, seen in (
        ((FIRST, SECOND), (FIRST,)),  # who signed later is asked all the same
        ((FIRST, SECOND), (third,)),
        ((FIRST, third), (third,)),  # a gap
        ((SECOND,), (SECOND,)),
        ((replace(FIRST, signer="A" * 40), SECOND), (SECOND,)),  # another past
    ):
        with pytest.raises(errors.StatementInvalid):
            follow(*entries, seen=seen)
    assert statement.verify_chain(
        [one.encode() for one in (FIRST, SECOND)], [], ACCOUNT, seen={SECOND.digest}
    )
