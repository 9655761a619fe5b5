"""Two people on one server: each other's keys from its directory, honest and not."""

import base64
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e2email_client.api import AccountApi, read_url
from e2email_client.contact import Cause
from e2email_client.contact_rules import HISTORY, NoKey, Outcome, Seen, Why
from e2email_client.contacts import open_contacts
from e2email_client.failure import Alarm
from e2email_client.finding import Finder
from e2email_client.stores import open_stores
from e2email_client.wkd import Wkd
from support.account_server import entry, identity
from support.liar import Liar, lying, truth
from support.system import PASSPHRASE, Server, User, server

BOB = "bob@example.test"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("contacts") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def liar(house: Server) -> Iterator[Liar]:
    with lying(house) as made:
        yield made


@pytest.fixture(scope="module")
def bob(house: Server, tmp_path_factory: pytest.TempPathFactory) -> User:
    return house.user(BOB, tmp_path_factory.mktemp("bob") / "home")


@pytest.fixture(scope="module")
def alice(house: Server, tmp_path_factory: pytest.TempPathFactory) -> User:
    return house.user("alice@example.test", tmp_path_factory.mktemp("alice") / "home")


@contextmanager
def finder(user: User, url: str, wkd: Wkd | None = None) -> Iterator[Finder]:
    """What looks keys up for this user, at a server that is `url`."""
    unlocked = user.unlocked()
    where = read_url(url, "localhost", user.server.ca.read_bytes())
    with open_stores(unlocked) as stores:
        contacts = open_contacts(unlocked, stores)
        yield Finder(contacts, AccountApi(where), unlocked.login, wkd or nowhere())


def nowhere() -> Wkd:
    def dial(host: str, port: int) -> socket.socket:
        raise AssertionError(host)

    return Wkd(ssl.create_default_context(), dial)


def look(user: User, url: str, address: str = BOB) -> Outcome:
    with finder(user, url) as look_up:
        found = look_up.in_directory(address, int(time.time()))
    assert found is not None
    return found.outcomes[0]


def fingerprint(user: User) -> str:
    (found,) = user.unlocked().statement.fingerprints
    return found


def usable(user: User, address: str = BOB) -> object:
    with finder(user, user.server.url) as look_up:
        found = look_up.contacts.usable_key(address, int(time.time()))
    return found.why if isinstance(found, NoKey) else [one.fingerprint for one in found]


def test_both_find_each_other_and_read_the_same_words(alice: User, bob: User) -> None:
    added = alice.e2email("contact", "add", BOB, "--json")
    assert added.code == 0, added.error
    (found,) = added.json["found"]
    assert (found["source"], found["result"]) == ("directory", "pinned")
    assert found["fingerprint"] == fingerprint(bob)
    other = bob.e2email("contact", "add", alice.address, "--json")
    assert added.json["contact"]["words"] == other.json["contact"]["words"]
    assert usable(alice) == [fingerprint(bob)]
    again = alice.e2email("contact", "add", BOB)
    assert (again.code, b"known already" in again.output) == (0, True)


def test_a_second_machine_knows_what_the_first_one_decided(
    alice: User, bob: User, tmp_path: Path
) -> None:
    alice.e2email("contact", "add", BOB)
    verified = alice.e2email("contact", "verify", BOB, "--same", "--json")
    assert verified.code == 0, verified.error
    second = User(alice.address, tmp_path / "second", alice.server)
    assert second.setup("--least-memory", "64").code == 0
    second.sync()
    listed = second.e2email("contact", "list", "--json").json["contacts"]
    shown = next(one for one in listed if one["address"] == BOB)
    assert shown["keys"][0]["verified"]["how"] == "words"
    assert shown["pinned"] == [fingerprint(bob)]


def test_a_new_encryption_key_is_taken_over_silently_and_recorded(alice: User, bob: User) -> None:
    assert look(alice, alice.server.url).seen in (Seen.PINNED, Seen.KNOWN)
    before = usable(alice)
    rotated = bob.e2email("key", "rotate", "--json")
    assert rotated.code == 0, rotated.error
    outcome = look(alice, alice.server.url)
    assert outcome.seen is Seen.UPDATED
    assert usable(alice) == before
    events = alice.e2email("contact", "show", BOB, "--json").json["events"]
    assert events[-1]["what"] == "updated"


def directory_of(user: User, *entries: bytes, owner: str = BOB):
    """A lie: another account's history in place of the true one."""
    made = identity(owner, 7)

    def lie(what: str, answer):
        if not what.startswith("GET /v1/directory/"):
            return answer
        return answer | {
            "statements": [base64.b64encode(one).decode() for one in entries],
            "certificates": [base64.b64encode(made.cert).decode()],
            "in_use": [made.fingerprint],
        }

    return lie


def test_a_swapped_key_is_a_changed_key_and_encrypts_nothing(
    alice: User, bob: User, liar: Liar
) -> None:
    look(alice, alice.server.url)
    pinned = usable(alice)
    liar.lie = directory_of(bob, entry(BOB, identity(BOB, 7)))
    try:
        outcome = look(alice, liar.url)
        assert outcome.seen is Seen.CHANGED
        assert outcome.said in (HISTORY[Cause.OTHER_PAST], HISTORY[Cause.SHORTER])
        assert usable(alice) is Why.HISTORY
    finally:
        liar.lie = truth
    kept = alice.e2email("contact", "decide", BOB, "--keep", "--json")
    assert kept.code == 0, kept.error
    assert usable(alice) == pinned
    assert look(alice, alice.server.url).seen is Seen.KNOWN
    assert usable(alice) == pinned


def test_a_directory_that_denies_a_pinned_key_changes_nothing(
    alice: User, bob: User, liar: Liar
) -> None:
    look(alice, alice.server.url)
    pinned = usable(alice)
    nothing = {"statements": [], "certificates": [], "in_use": []}
    liar.lie = lambda what, answer: nothing if "directory" in what else answer
    try:
        with finder(alice, liar.url) as look_up:
            assert look_up.in_directory(BOB, int(time.time())) is None
    finally:
        liar.lie = truth
    assert usable(alice) == pinned


def test_a_swapped_key_at_first_contact_is_found_by_the_words(
    bob: User, house: Server, liar: Liar, tmp_path: Path
) -> None:
    carol = house.user("carol@example.test", tmp_path / "carol")
    liar.lie = directory_of(bob, entry(BOB, identity(BOB, 7)))
    try:
        outcome = look(carol, liar.url)
    finally:
        liar.lie = truth
    assert (outcome.seen, outcome.fingerprint) == (Seen.PINNED, identity(BOB, 7).fingerprint)
    shown = carol.e2email("contact", "show", BOB, "--json").json
    bob.e2email("contact", "add", carol.address)
    assert shown["words"] != bob.e2email("contact", "show", carol.address, "--json").json["words"]
    # and the true history, when it comes, is another one
    assert look(carol, house.url).seen is Seen.CHANGED
    assert usable(carol) is Why.HISTORY


def test_a_history_that_does_not_verify_changes_nothing(alice: User, bob: User, liar: Liar) -> None:
    look(alice, alice.server.url)
    pinned = usable(alice)
    first = entry(BOB, identity(BOB, 7))
    stranger = entry(BOB, identity(BOB, 8), first)
    lies = [
        directory_of(bob, stranger),
        directory_of(bob, first, stranger),
        directory_of(bob, b"{}"),
        directory_of(bob, entry("carol@example.test", identity(BOB, 7))),
        lambda what, answer: answer | {"in_use": ["A" * 40]} if "directory" in what else answer,
        lambda what, answer: (
            answer | {"certificates": answer["certificates"][:0]} if "directory" in what else answer
        ),
    ]
    for lie in lies:
        liar.lie = lie
        try:
            with pytest.raises(Alarm):
                look(alice, liar.url)
        finally:
            liar.lie = truth
        assert usable(alice) == pinned


def test_nobody_there_is_found_nowhere(alice: User) -> None:
    with finder(alice, alice.server.url) as look_up:
        assert look_up.in_directory("nobody@example.test", int(time.time())) is None


def test_the_servers_own_web_key_directory(alice: User, bob: User, house: Server) -> None:
    context = ssl.create_default_context(cafile=str(house.ca))
    context.check_hostname = False  # its certificate is for localhost alone
    asked = []

    def dial(host: str, port: int) -> socket.socket:
        asked.append((host, port))
        return socket.create_connection(("127.0.0.1", house.port("https")), 10)

    with finder(alice, house.url, Wkd(context, dial)) as look_up:
        found = look_up.in_wkd(BOB, int(time.time()))
    assert asked == [("openpgpkey.example.test", 443)]
    assert found is not None
    (outcome,) = found.outcomes
    assert (outcome.seen, outcome.fingerprint) == (Seen.KNOWN, fingerprint(bob))
    assert PASSPHRASE not in repr(found)
