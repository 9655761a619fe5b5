"""Autocrypt headers: which of them are believed to be of the sender, and what they teach."""

import base64
import time
from email.utils import formatdate

import pytest

from e2email_client import autocrypt
from e2email_client.autocrypt import KEYDATA_MAX, Offer, compose, offered, present
from e2email_client.contact import Source
from e2email_client.contact_rules import NoKey
from e2email_client.contacts import open_contacts
from e2email_client.local import notices
from e2email_client.parsing import Parsing
from e2email_client.stores import open_stores
from e2email_crypto import cert
from e2email_crypto.child_process import start
from support.foreign_keys import BOB, foreign
from support.machine import Machine

DATE = 1_750_000_000
SENT = formatdate(DATE)
KEY = b"a key"
KEYDATA = base64.b64encode(KEY).decode()
FIELD = f"Autocrypt: addr={BOB}; prefer-encrypt=mutual; keydata={KEYDATA}"


def header(*fields, sender=f"Bob <{BOB}>", date=SENT):
    return "\r\n".join((f"From: {sender}", f"Date: {date}", *fields, "", "")).encode()


@pytest.mark.parametrize(
    "field",
    [
        FIELD,
        f"AUTOCRYPT: addr={BOB.upper()};keydata={KEYDATA}",
        f"Autocrypt: addr={BOB}; _mine=x; keydata=\r\n {KEYDATA[:4]}\r\n {KEYDATA[4:]}",
        f"Autocrypt: keydata={KEYDATA}; addr={BOB};",
        f"{FIELD}\r\nAutocrypt: addr=carol@example.net; keydata=AAAA",
        f"{FIELD}\r\nAutocrypt: addr={BOB}; new=1; keydata=AAAA",
    ],
    ids=["usual", "case", "folded", "order", "about another", "one of them not valid"],
)
def test_the_one_header_about_the_sender_counts(field):
    assert offered(header(field)) == Offer(BOB, DATE, KEY)


@pytest.mark.parametrize(
    "found",
    [
        header(),
        header(FIELD, FIELD),
        header(FIELD, sender="carol@example.net"),
        header(FIELD, sender=f"{BOB}, carol@example.net"),
        header(FIELD, sender="nobody"),
        header(FIELD, "From: carol@example.net"),
        header(FIELD, date="yesterday"),
        header(FIELD, "List-Id: <list.example.net>"),
        header(FIELD, 'Content-Type: multipart/report; boundary="x"'),
        header(f"{FIELD}; new=1"),
        header(f"{FIELD}; addr={BOB}"),
        header(f"Autocrypt: addr={BOB}; keydata="),
        header(f"Autocrypt: addr={BOB}; keydata=%%%"),
        header(f"Autocrypt: addr={BOB}"),
        header(f"Autocrypt: keydata={KEYDATA}"),
        header(f"Autocrypt: addr={BOB}; keydata=" + "A" * 4 * (KEYDATA_MAX // 3 + 2)),
    ],
    ids=[
        "none", "two", "another sender", "two senders", "no address", "two From", "no date",
        "list", "bounce", "critical", "twice", "empty", "not base64", "no key", "no address in it",
        "large",
    ],
)  # fmt: skip
def test_anything_else_offers_nothing(found):
    assert offered(found) is None


def test_it_is_parsed_where_no_key_is(monkeypatch):
    """One child does it all: that there is nothing is an answer, not one that does not come."""
    started = []
    monkeypatch.setattr(
        "e2email_client.parsing.start", lambda *args: started.append(1) or start(*args)
    )
    parsing = Parsing(1)
    try:
        assert parsing.autocrypt([header(FIELD), header()]) == [Offer(BOB, DATE, KEY), None]
    finally:
        parsing.close()
    assert len(started) == 1


def test_mail_without_the_field_costs_nothing():
    assert not present(header("Subject: Autocrypt: is a thing"))
    assert present(header(FIELD))
    assert present(FIELD.encode())


def test_what_is_composed_is_read_back():
    small = cert.minimal(foreign().cert, BOB, int(time.time()))
    field = compose(BOB, small)
    assert offered(header(field.decode().removesuffix("\r\n"))) == Offer(BOB, DATE, small)
    assert max(map(len, field.split(b"\r\n"))) <= 78 + 20
    assert len(field) < 10_000


def test_an_offer_quotes_nobody_in_a_repr():
    assert BOB not in repr(Offer(BOB, DATE, KEY))


# with real mail


def mail(number=1, date=DATE, sender=BOB):
    field = compose(sender, cert.minimal(foreign(number=number).cert, BOB, int(time.time())))
    head = f"From: Bob <{sender}>\r\nTo: alice@example.test\r\nDate: {formatdate(date)}\r\n"
    return head.encode() + field + b"Subject: hello\r\n\r\nhello\r\n"


@pytest.fixture
def synced(machine: Machine):
    """Mail that alice has, and what her machine knows of bob then."""

    def sync(*mails):
        machine.deliver(*mails)
        assert machine.run("sync", "--json").code == 0
        with open_stores(machine.unlocked) as stores:
            contacts = open_contacts(machine.unlocked, stores)
            return contacts.one(BOB), [one.text for one in notices.pending(stores.state)]

    return sync


def test_a_mail_teaches_its_senders_key(machine, synced):
    contact, _ = synced(mail())
    assert contact.pinned == (foreign().fingerprint,)
    assert list(contact.known[foreign().fingerprint].sightings) == [Source.AUTOCRYPT]
    assert contact.known[foreign().fingerprint].last == DATE


def test_a_forged_mail_stops_encryption_and_takes_nothing_over(machine, synced):
    synced(mail())
    contact, said = synced(mail(2, DATE + 60))
    assert contact.pinned == (foreign().fingerprint,)
    assert said == []
    with open_stores(machine.unlocked) as stores:
        found = open_contacts(machine.unlocked, stores).usable_key(BOB, int(time.time()))
    assert isinstance(found, NoKey)


def test_of_somebody_who_was_cared_for_it_is_told(machine, synced):
    with open_stores(machine.unlocked) as stores:
        contacts = open_contacts(machine.unlocked, stores)
        contacts.offer(BOB, foreign().cert, Source.FILE, int(time.time()))
    _, said = synced(mail(2))
    assert [one for one in said if BOB in one]


def test_an_older_mail_and_one_that_nobody_vouches_for_teach_nothing(machine, synced):
    synced(mail())
    contact, _ = synced(mail(2, DATE - 60))
    assert list(contact.known) == [foreign().fingerprint]


def test_learning_never_hinders_mail(machine, synced, monkeypatch):
    monkeypatch.setattr(autocrypt, "KEYDATA_MAX", 0)
    broken = f"From: {BOB}\r\nDate: x\r\nAutocrypt: addr={BOB}; keydata=AAAA\r\n\r\nhello\r\n"
    contact, _ = synced(broken.encode(), mail(sender="alice@example.test"))
    assert contact is None
