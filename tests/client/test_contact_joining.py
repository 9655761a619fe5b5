"""What two devices know of a contact, joined: no order and no repetition makes a difference."""

from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from e2email_client import contact_form, contact_rules
from e2email_client.contact import (
    EVENTS_MAX,
    Cause,
    Contact,
    Doubt,
    Event,
    Head,
    How,
    Judgement,
    Known,
    Pin,
    Sighting,
    Source,
    Standing,
    Verified,
    union,
)
from e2email_client.state_document import Entry
from e2email_crypto import packets
from support.foreign_keys import foreign

REVOCATION = 0x20  # RFC 9580, 5.2.1
NAMES = ("A" * 40, "B" * 40)
TIMES = st.integers(0, 3)


@cache
def parts():
    """A certificate's packets; copies of it have some of the signatures."""
    return packets.split(foreign().cert, 64)


@st.composite
def copies(draw):
    dropped = draw(st.sets(st.integers(0, len(parts()) - 1)))
    return b"".join(
        one.raw
        for at, one in enumerate(parts())
        if at not in dropped or one.tag != packets.SIGNATURE
    )


SIGHTINGS = st.builds(lambda a, b: Sighting(min(a, b), max(a, b)), TIMES, TIMES)
HEADS = st.builds(Head, st.just("bob@example.net"), st.integers(1, 2), st.sampled_from("ab"))
CHOSEN = st.lists(st.sampled_from(NAMES), unique=True, max_size=2).map(tuple)
KNOWN = st.builds(
    Known,
    st.just(""),
    copies(),
    st.dictionaries(st.sampled_from(list(Source)), SIGHTINGS, min_size=1, max_size=2),
    st.builds(Judgement, TIMES, st.sampled_from(list(Standing))),
    st.none() | st.builds(Verified, TIMES, st.sampled_from(("words", "qr"))),
)
EVENTS = st.sets(
    st.builds(Event, TIMES, st.just("pinned"), st.sampled_from(NAMES)), max_size=2
).map(lambda found: tuple(sorted(found)))
CONTACTS = st.builds(
    Contact,
    st.just(""),
    st.dictionaries(st.sampled_from(NAMES), KNOWN, max_size=2),
    st.none()
    | st.builds(
        Pin,
        TIMES,
        TIMES,
        st.sampled_from(list(How)),
        CHOSEN,
        st.lists(HEADS, max_size=1).map(tuple),
    ),
    st.none() | st.builds(Doubt, TIMES, st.sampled_from(list(Cause)), HEADS, CHOSEN),
    EVENTS,
)
ENTRIES = st.builds(Entry, TIMES, st.none() | CONTACTS.map(contact_form.encode))


def join(*entries):
    joined = entries[0]
    for one in entries[1:]:
        joined = contact_form.join(joined, one)
    return joined.rank


@settings(max_examples=60, deadline=None)
@given(ENTRIES, ENTRIES)
def test_joining_commutes_and_is_idempotent(one, other):
    assert join(one, other) == join(other, one) == join(one, other, other, one)


@settings(max_examples=60, deadline=None)
@given(ENTRIES, ENTRIES, ENTRIES)
def test_joining_associates(one, two, three):
    left = contact_form.join(contact_form.join(one, two), three)
    right = contact_form.join(one, contact_form.join(two, three))
    assert left.rank == right.rank


@settings(max_examples=60, deadline=None)
@given(CONTACTS)
def test_what_is_spelled_is_read(contact):
    value = contact_form.encode(contact)
    assert contact_form.encode(contact_form.decode("", value)) == value


@given(copies(), copies())
def test_what_one_copy_has_is_in_the_union(one, other):
    both = {packet.raw for packet in packets.split(union(one, other), 64)}
    assert both == {p.raw for octets in (one, other) for p in packets.split(octets, 64)}


def test_copies_above_the_caps_leave_the_longer_one():
    assert union(b"\xff", foreign().cert) == foreign().cert
    many = parts()[0].raw + b"".join(
        packets.packet(packets.SIGNATURE, bytes([4, at])) for at in range(40)
    )
    more = parts()[0].raw + b"".join(
        packets.packet(packets.SIGNATURE, bytes([5, at, 0])) for at in range(40)
    )
    assert union(many, more) == union(more, many) == more


def test_copies_that_are_too_many_packets_together_leave_one_that_can_be_read():
    head, foreign_ones = (
        parts()[0].raw,
        [packets.packet(2, bytes([4, 0x10, at])) for at in range(60)],
    )
    revocation = packets.packet(packets.SIGNATURE, bytes([4, REVOCATION]) + bytes(9))
    many = head + b"".join(foreign_ones)
    revoked = (
        head + revocation + b"".join(packets.packet(2, bytes([5, 0x10, at])) for at in range(9))
    )
    assert union(many, revoked) == union(revoked, many) == revoked
    fewer = head + b"".join(packets.packet(2, bytes([5, 0x10, at])) for at in range(9))
    assert union(many, fewer) == union(fewer, many) == many


def test_events_do_not_grow_for_ever():
    contact = Contact("")
    for at in range(2 * EVENTS_MAX):
        contact = contact.told(at, "changed", NAMES[0])
    assert len(contact.events) == EVENTS_MAX
    assert contact.events[-1].time == 2 * EVENTS_MAX - 1


BOB = "bob@example.net"
X = Known("A" * 40, b"x", {Source.DIRECTORY: Sighting(1, 1)})


def head(sequence):
    return Head(BOB, sequence, "aa")


def seen_first(time):
    return Contact(BOB, {X.fingerprint: X}, Pin(0, time, How.FIRST_USE, (X.fingerprint,), ()))


def test_distrust_is_not_undone_by_a_device_that_saw_the_key_later_for_the_first_time():
    distrusted, _ = contact_rules.distrust(seen_first(10), 20)
    for joined in (distrusted.join(seen_first(30)), seen_first(30).join(distrusted)):
        assert joined.pinned == ()
        assert joined.pin.how is How.DISTRUSTED


def test_distrust_is_not_undone_by_a_history_that_was_followed_without_knowing_of_it():
    before = seen_first(10)
    distrusted, _ = contact_rules.distrust(before, 20)
    followed = contact_rules._pinned(before, How.HISTORY, (X.fingerprint,), head(2), 30)
    for joined in (distrusted.join(followed), followed.join(distrusted)):
        assert joined.pinned == ()


def test_a_later_decision_counts_whatever_the_clock_of_the_other_device_says():
    distrusted, _ = contact_rules.distrust(seen_first(10), 1_000_000)
    accepted = contact_rules._pinned(distrusted, How.DECIDED, (X.fingerprint,), None, 20)
    followed = contact_rules._pinned(accepted, How.HISTORY, (X.fingerprint,), head(2), 30)
    for later in (accepted, followed):
        assert distrusted.join(later).pin == later.pin == later.join(distrusted).pin
    assert accepted.join(followed).pin == followed.pin
