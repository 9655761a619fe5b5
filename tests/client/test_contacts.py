"""Other people's keys: what is pinned, what changes it, and what only a person may change."""

import time
from functools import partial

import pytest

from e2email_client import contact_form, contact_rules
from e2email_client.contact import Cause, Source, Standing
from e2email_client.contact_rules import Chain, NoKey, Seen, Why
from e2email_client.contacts import Contacts
from e2email_client.failure import LocalFault, NotThere
from e2email_client.local import learned
from e2email_client.local.cache import open_state
from e2email_client.local.learned import Learned
from e2email_client.shared_state import SharedState
from e2email_crypto import keyedit
from support.foreign_keys import BOB, foreign
from support.key_vectors import flipped

NOW = int(time.time())
ALICE = "alice@example.test"
DAY = 86_400


@pytest.fixture
def contacts(tmp_path):
    state = open_state(tmp_path / "state.db", bytes(32))
    yield Contacts(SharedState(None, state), Learned(state), {ALICE})  # type: ignore[arg-type]
    state.close()


def offer(contacts, number=1, source=Source.FILE, now=NOW, **more):
    return contacts.offer(BOB, foreign(number=number).cert, source, now, **more)


def usable(contacts, now=NOW):
    found = contacts.usable_key(BOB, now)
    return found.why if isinstance(found, NoKey) else [one.fingerprint for one in found]


def name(number=1):
    return foreign(number=number).fingerprint


def test_the_first_key_is_pinned_by_its_whole_fingerprint(contacts):
    assert usable(contacts) is Why.UNKNOWN
    outcome = offer(contacts)
    assert (outcome.seen, outcome.fingerprint) == (Seen.PINNED, name())
    assert usable(contacts) == [name()]
    pin = contacts.must(BOB).pin
    assert (pin.how, pin.fingerprints) == ("first-use", (name(),))


@pytest.mark.parametrize("source", list(Source)[:3])
def test_another_key_stops_encryption_whatever_it_came_from(contacts, source):
    offer(contacts)
    assert offer(contacts, 2, source, NOW + 1).seen is Seen.CHANGED
    assert usable(contacts) is Why.CHANGED
    contact = contacts.must(BOB)
    assert contact.pinned == (name(),)
    assert [one.fingerprint for one in contact_rules.candidates(contact, NOW)] == [name(2)]
    assert list(contact.known[name(2)].sightings) == [source]


def test_the_new_one_is_accepted(contacts):
    offer(contacts)
    offer(contacts, 2)
    contacts.decide(BOB, partial(contact_rules.accept, now=NOW, fingerprint=None), NOW)
    assert usable(contacts) == [name(2)]
    assert contacts.must(BOB).known[name()].judgement.standing is Standing.REPLACED
    assert offer(contacts, 1).seen is Seen.KNOWN
    assert usable(contacts) == [name(2)]


def test_the_old_one_is_kept_and_the_refused_one_does_not_ask_again(contacts):
    offer(contacts)
    offer(contacts, 2)
    contacts.decide(BOB, partial(contact_rules.keep, now=NOW), NOW)
    assert usable(contacts) == [name()]
    assert offer(contacts, 2, Source.WKD, NOW + DAY).seen is Seen.KNOWN
    assert usable(contacts) == [name()]
    assert offer(contacts, 3).seen is Seen.CHANGED


def test_both_are_distrusted_and_a_third_does_not_get_in_by_itself(contacts):
    offer(contacts)
    offer(contacts, 2)
    contacts.decide(BOB, partial(contact_rules.distrust, now=NOW), NOW)
    assert usable(contacts) is Why.DISTRUSTED
    assert offer(contacts, 3).seen is Seen.CHANGED
    assert usable(contacts) is Why.CHANGED
    contacts.decide(BOB, partial(contact_rules.accept, now=NOW, fingerprint=name(3)), NOW)
    assert usable(contacts) == [name(3)]


def test_of_several_new_ones_one_must_be_named(contacts):
    for number in (1, 2, 3):
        offer(contacts, number)
    before = contacts.shared.export()
    accept = partial(contact_rules.accept, now=NOW)
    with pytest.raises(LocalFault, match="several"):
        contacts.decide(BOB, partial(accept, fingerprint=None), NOW)
    with pytest.raises(LocalFault, match="no such"):
        contacts.decide(BOB, partial(accept, fingerprint="A" * 40), NOW)
    assert contacts.shared.export() == before
    contacts.decide(BOB, partial(accept, fingerprint=name(3)), NOW)
    assert usable(contacts) == [name(3)]


def test_deciding_about_nobody_is_said(contacts):
    with pytest.raises(NotThere):
        contacts.decide(BOB, partial(contact_rules.keep, now=NOW), NOW)
    assert contacts.one(BOB) is None


def test_a_verification_is_kept_with_the_key(contacts):
    offer(contacts)
    contacts.decide(BOB, partial(contact_rules.verify, how="words", now=NOW), NOW)
    assert contacts.must(BOB).known[name()].verified.how == "words"
    offer(contacts, 2)
    with pytest.raises(LocalFault, match="Decide"):
        contacts.decide(BOB, partial(contact_rules.verify, how="words", now=NOW), NOW)


def test_own_addresses_are_no_contacts(contacts):
    with pytest.raises(LocalFault, match="your own"):
        contacts.offer("Alice@EXAMPLE.test", foreign(ALICE).cert, Source.FILE, NOW)
    assert contacts.usable_key(ALICE, NOW).why is Why.OWN
    assert contacts.every() == []


def test_a_key_of_somebody_else_is_named_so(contacts):
    outcome = contacts.offer(BOB, foreign("carol@example.net").cert, Source.FILE, NOW)
    assert (outcome.seen, "another address" in outcome.said) == (Seen.REFUSED, True)
    assert contacts.one(BOB) is None


def test_addresses_are_the_same_in_any_spelling(contacts):
    contacts.offer("BOB@Example.NET", foreign().cert, Source.FILE, NOW)
    assert [one.address for one in contacts.every()] == [BOB]
    with pytest.raises(LocalFault):
        contacts.one("no address")


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        (b"", "cannot be read"),
        (b"x" * 65537, "too big"),
        (foreign().tsk, "secret key"),
        (foreign().cert + foreign(number=2).cert, "cannot be read"),
        (foreign().cert * 20, "too big"),
    ],
    ids=["nothing", "large", "secret", "two", "packets"],
)
def test_what_is_no_certificate_is_named_and_changes_nothing(contacts, certificate, said):
    offer(contacts, 2)
    before = contacts.shared.export()
    outcome = contacts.offer(BOB, certificate, Source.FILE, NOW)
    assert outcome.seen is Seen.REFUSED
    assert said in outcome.said
    assert contacts.shared.export() == before


def test_a_revoked_key_stops_use_and_never_replaces_a_good_one(contacts):
    offer(contacts)
    revoked = keyedit.apply_revocation(foreign().cert, foreign().revocation)
    outcome = contacts.offer(BOB, revoked, Source.WKD, NOW)
    assert outcome.seen is Seen.REVOKED
    found = contacts.usable_key(BOB, NOW)
    assert isinstance(found, NoKey)
    assert "revoked" in found.said
    assert offer(contacts).seen is Seen.KNOWN  # the unrevoked copy changes nothing
    assert usable(contacts) is Why.KEY


def test_a_revoked_key_that_was_never_seen_is_not_pinned(contacts):
    revoked = keyedit.apply_revocation(foreign().cert, foreign().revocation)
    outcome = contacts.offer(BOB, revoked, Source.WKD, NOW)
    assert (outcome.seen, "revoked" in outcome.said) == (Seen.REFUSED, True)
    assert usable(contacts) in (Why.UNKNOWN, Why.KEY)


def test_a_key_beyond_what_is_kept_is_not_kept(contacts, monkeypatch):
    monkeypatch.setattr(contact_rules, "KNOWN_MAX", 2)
    for number in (1, 2):
        offer(contacts, number)
    outcome = offer(contacts, 3)
    assert (outcome.seen, "too many" in outcome.said) == (Seen.REFUSED, True)
    assert len(contacts.must(BOB).known) == 2


def test_damage_inside_a_key_is_named(contacts):
    certificate = foreign().cert
    outcome = contacts.offer(BOB, flipped(certificate, len(certificate) - 5), Source.FILE, NOW)
    assert outcome.seen is Seen.REFUSED
    assert "forged" in outcome.said


# of received mail


def test_what_mail_taught_stays_on_this_machine_until_somebody_cares(contacts):
    offer(contacts, 1, Source.AUTOCRYPT, seen=NOW - DAY)
    assert usable(contacts) == [name()]
    assert contacts.shared.get("contacts") == {}
    assert [one.address for one in contacts.every()] == [BOB]
    offer(contacts, 1, Source.FILE)
    assert list(contacts.shared.get("contacts")) == [BOB]
    assert set(contacts.must(BOB).known[name()].sightings) == {Source.FILE, Source.AUTOCRYPT}


def test_a_decision_about_what_mail_taught_goes_to_all_devices(contacts):
    offer(contacts, 1, Source.AUTOCRYPT)
    contacts.decide(BOB, partial(contact_rules.verify, how="words", now=NOW), NOW)
    assert list(contacts.shared.get("contacts")) == [BOB]
    assert contacts.kept(BOB)
    assert contacts.must(BOB).known[name()].verified.how == "words"


def test_an_older_mail_changes_nothing(contacts):
    offer(contacts, 1, Source.AUTOCRYPT, seen=NOW - DAY)
    before = contacts.learned.every()
    outcome = offer(contacts, 2, Source.AUTOCRYPT, seen=NOW - DAY - 1)
    assert outcome.seen is Seen.OLD
    assert contacts.learned.every() == before
    assert offer(contacts, 2, Source.AUTOCRYPT, seen=NOW - 1).seen is Seen.CHANGED


def test_a_mail_from_the_future_is_from_now(contacts):
    offer(contacts, 1, Source.AUTOCRYPT, seen=NOW + 30 * DAY)
    assert contacts.must(BOB).known[name()].last == NOW


def test_a_key_seen_again_is_no_news_for_other_devices(contacts):
    offer(contacts)
    generation = contacts.shared._seen().generation
    offer(contacts, 1, Source.AUTOCRYPT, NOW + DAY, seen=NOW + DAY)
    assert contacts.must(BOB).known[name()].last == NOW + DAY
    assert contacts.shared._seen().generation == generation


def test_a_flood_of_forged_mail_makes_nobody_forgotten(contacts, monkeypatch):
    monkeypatch.setattr(learned, "MOST", 1)
    offer(contacts, 1, Source.AUTOCRYPT)
    contacts.offer("carol@example.net", foreign("carol@example.net").cert, Source.AUTOCRYPT, NOW)
    assert [one.address for one in contacts.every()] == [BOB]


# of a server's directory


def chain(*entries, forced=(), account=BOB):
    """Entries are numbers of keys, or tuples of them."""
    named = [frozenset(map(name, one if isinstance(one, tuple) else (one,))) for one in entries]
    digests = tuple(f"{at}{sorted(one)}" for at, one in enumerate(named))
    return Chain(account, digests, tuple(named), frozenset(forced))


def follow(contacts, chain, now=NOW):
    numbers = [n for n in range(1, 9) if name(n) in chain.named[-1]]
    return contacts.follow(BOB, chain, [foreign(number=n).cert for n in numbers], now)


def test_first_contact_pins_all_keys_and_the_head(contacts):
    assert follow(contacts, chain(1, (1, 2))).seen is Seen.PINNED
    assert usable(contacts) == sorted([name(1), name(2)])
    assert contacts.must(BOB).head == chain(1, (1, 2)).head


def test_a_change_that_the_old_key_vouches_for_is_followed_and_told(contacts):
    follow(contacts, chain(1))
    outcome = follow(contacts, chain(1, 2))
    assert (outcome.seen, outcome.fingerprint) == (Seen.FOLLOWED, name(2))
    assert usable(contacts) == [name(2)]
    contact = contacts.must(BOB)
    assert contact.pin.how == "history"
    assert [one.what for one in contact.events] == ["pinned", "followed"]
    assert offer(contacts, 1, Source.WKD).seen is Seen.KNOWN  # a late copy of the old one


def test_a_key_from_a_file_is_followed_from_where_it_stands_in_the_history(contacts):
    offer(contacts, 2)
    assert follow(contacts, chain(1, 2, 3)).seen is Seen.FOLLOWED
    assert usable(contacts) == [name(3)]


def test_a_key_that_mail_knew_first_is_cleared_by_the_history(contacts):
    follow(contacts, chain(1))
    assert offer(contacts, 2, Source.AUTOCRYPT).seen is Seen.CHANGED
    assert usable(contacts) is Why.CHANGED
    assert follow(contacts, chain(1, 2)).seen is Seen.FOLLOWED
    assert usable(contacts) == [name(2)]


@pytest.mark.parametrize(
    ("pinned", "shown", "cause"),
    [
        (chain(1), chain(1, 2, forced=(1,)), Cause.FORCED),
        (chain(1, 2), chain(1, 3), Cause.OTHER_PAST),
        (chain(1, 1), chain(1), Cause.SHORTER),
        (chain(1), chain(1, account="mallory@example.net"), Cause.OTHER_PAST),
    ],
)
def test_a_history_that_does_not_continue_stops_encryption(contacts, pinned, shown, cause):
    follow(contacts, pinned)
    before = contacts.must(BOB).pin
    outcome = follow(contacts, shown, NOW + 1)
    assert outcome.seen is Seen.CHANGED
    assert outcome.said == contact_rules.HISTORY[cause]
    assert usable(contacts) is Why.HISTORY
    assert contacts.must(BOB).pin == before
    assert follow(contacts, shown, NOW + 2).fresh is False

    contacts.decide(BOB, partial(contact_rules.accept, now=NOW, fingerprint=None), NOW)
    assert usable(contacts) == sorted(shown.named[-1])
    assert follow(contacts, shown, NOW + 3).seen is Seen.KNOWN
    assert usable(contacts) == sorted(shown.named[-1])


def test_a_revocation_in_an_accepted_history_is_told(contacts):
    follow(contacts, chain(1))
    forced = chain(1, 2, forced=(1,))
    follow(contacts, forced)
    contacts.decide(BOB, partial(contact_rules.accept, now=NOW, fingerprint=None), NOW)
    second = foreign(number=2)
    revoked = keyedit.apply_revocation(second.cert, second.revocation)
    assert contacts.follow(BOB, forced, [revoked], NOW).seen is Seen.REVOKED
    assert usable(contacts) is Why.KEY


def test_a_refused_history_does_not_ask_again_and_another_one_does(contacts):
    follow(contacts, chain(1))
    follow(contacts, chain(1, 2, forced=(1,)))
    contacts.decide(BOB, partial(contact_rules.keep, now=NOW), NOW)
    assert usable(contacts) == [name(1)]
    assert follow(contacts, chain(1, 2, forced=(1,))).seen is Seen.KNOWN
    assert usable(contacts) == [name(1)]
    assert follow(contacts, chain(1, 3, forced=(1,))).seen is Seen.CHANGED
    assert usable(contacts) is Why.HISTORY


def test_a_pinned_key_that_the_history_never_had_is_a_doubt(contacts):
    offer(contacts, 1)
    assert follow(contacts, chain(2, 3)).said == contact_rules.HISTORY[Cause.NOT_IN_IT]
    assert usable(contacts) is Why.HISTORY


# on two devices


def document(contacts):
    return {
        key: contact_form.decode(key, one) for key, one in contacts.shared.get("contacts").items()
    }


def test_what_two_devices_learned_is_joined(contacts, tmp_path):
    state = open_state(tmp_path / "two.db", bytes(32))
    other = Contacts(SharedState(None, state), Learned(state), {ALICE})  # type: ignore[arg-type]
    offer(contacts, 1)
    offer(other, 2, now=NOW + 1)
    mine, theirs = contacts.shared.export(), other.shared.export()
    contacts.shared.adopt(theirs)
    other.shared.adopt(mine)
    assert contacts.shared.export() == other.shared.export()
    assert usable(contacts) is Why.CHANGED  # two first uses are a changed key
    state.close()


def test_a_decision_travels(contacts, tmp_path):
    state = open_state(tmp_path / "two.db", bytes(32))
    other = Contacts(SharedState(None, state), Learned(state), {ALICE})  # type: ignore[arg-type]
    offer(contacts, 1)
    offer(contacts, 2)
    other.shared.adopt(contacts.shared.export())
    assert usable(other) is Why.CHANGED
    contacts.decide(BOB, partial(contact_rules.keep, now=NOW), NOW)
    other.shared.adopt(contacts.shared.export())
    assert usable(other) == [name(1)]
    assert document(contacts) == document(other)
    state.close()


def test_contacts_quote_nothing_secret_in_a_repr(contacts):
    offer(contacts)
    assert "certificate" not in repr(contacts.must(BOB))
    assert BOB not in repr(contacts.learned)
