"""The real client against a server that does what a bought or broken-into one could do.

The numbers are those of docs/specs/threat-model.md, "A server that misbehaves". A lie about keys,
boxes or costs is told over HTTPS by `Liar`; what is stored is changed in the database, with the
keys that the server has.
"""

import base64
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count as numbers
from pathlib import Path
from typing import Any

import pytest

from e2email_client.api import AccountApi
from e2email_client.failure import Alarm, Offline
from e2email_crypto import gate, packets
from e2email_crypto.arrival import ArrivalKey
from e2email_crypto.seal import seal
from e2email_protocol.account import StateBox
from e2email_protocol.sealed.armor import crc24
from e2email_protocol.sealed.arrival import Arrival
from e2email_protocol.sealed.compose import compose
from e2email_protocol.sealed.record import Form, Policy, Record
from e2email_protocol.sealed.render import render
from support.account_server import entry, identity
from support.liar import Liar, ask, lying, truth
from support.sealing import RealSealer
from support.system import Ran, Server, User, server

NUMBERS = numbers(1)
Lie = Callable[[str, Any], Any]


def mail(subject: str) -> bytes:
    return (
        f"From: carol@example.net\r\nTo: alice@example.test\r\nSubject: {subject}\r\n"
        f"Date: Sun, 22 Nov 2026 08:00:00 +0000\r\n\r\nthe words of {subject}\r\n"
    ).encode()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own: it is made to lie here."""
    with server(tmp_path_factory.mktemp("misbehaving") / "server") as running:
        yield running


@pytest.fixture(scope="module")
def liar(house: Server) -> Iterator[Liar]:
    with lying(house) as made:
        yield made


@pytest.fixture
def alice(house: Server, liar: Liar, tmp_path: Path) -> User:
    """Somebody with an account of their own."""
    liar.lie, liar.instead = truth, ask
    liar.asked.clear()
    return house.user(f"user{next(NUMBERS)}@example.test", tmp_path / "home")


@pytest.fixture(scope="module")
def bob(house: Server, tmp_path_factory: pytest.TempPathFactory) -> User:
    return house.user("bob@example.test", tmp_path_factory.mktemp("bob") / "home")


def setup(liar: Liar, user: User, *arguments: object) -> Ran:
    """`e2email setup` where the liar answers."""
    where = ("--server", liar.url, "--server-name", "localhost", "--ca", user.server.ca)
    return user.e2email("setup", user.address, *where, "--least-memory", 64, *arguments)


def second(user: User) -> User:
    """Another machine of the same person."""
    return User(user.address, user.home.with_name("second"), user.server)


def files(user: User) -> dict[str, bytes]:
    """What a machine keeps of keys and settings."""
    return {
        path.name: path.read_bytes()
        for path in user.folder.iterdir()
        if path.suffix in {".slot", ".box", ".json", ".toml"}
    }


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


# keys, boxes and costs, at a login


def when(path: str, **changes: Any) -> Callable[[User, User], Lie]:
    """These members in the answer to requests whose path begins so."""

    def made(alice: User, bob: User) -> Lie:
        told = {
            name: value(alice, bob) if callable(value) else value for name, value in changes.items()
        }
        return lambda what, answer: {**answer, **told} if what.startswith(path) else answer

    return made


def a_history_of_its_own(alice: User, _: User) -> list[str]:
    """Whole, and valid in itself, for a key that the server made."""
    return [b64(entry(address=alice.address))]


def one_more_entry(alice: User, _: User) -> list[str]:
    """The true history, and a key of the server's that nobody of the account put there."""
    true = alice.unlocked().paths.statements.read_text()
    entries = [one.encode() for one in json.loads(true)]
    return [b64(one) for one in (*entries, entry(alice.address, identity(), entries[-1]))]


LIES: dict[str, tuple[Callable[[User, User], Lie], str]] = {
    "(1) own key swapped": (
        when("GET /v1/statements", statements=a_history_of_its_own),
        "key history",
    ),
    "(1) a key added": (when("GET /v1/statements", statements=one_more_entry), "key history"),
    "(4) another user's vault": (
        when("GET /v1/vault", vault=lambda _, bob: b64((bob.folder / "vault.box").read_bytes())),
        "another account",
    ),
    "(6) Argon2 below the floor": (
        when("POST /v1/login-parameters", m_kib=8, t=1),
        "key derivation",
    ),
    "(6) Argon2 cheaper than agreed": (
        when("POST /v1/login-parameters", m_kib=63 * 1024),
        "key derivation",
    ),
    "(7) Argon2 that takes all memory": (
        when("POST /v1/login-parameters", m_kib=2**31, t=10),
        "key derivation",
    ),
    "(12) no key for this account": (
        when("GET /v1/statements", statements=[], certificates=[]),
        "key history",
    ),
}


@pytest.mark.parametrize("name", LIES)
def test_a_lie_at_login_is_an_alarm_and_leaves_nothing(
    liar: Liar, alice: User, bob: User, name: str
) -> None:
    tell, words = LIES[name]
    new = second(alice)
    liar.lie = tell(alice, bob)
    said = setup(liar, new)
    assert (said.code, words in said.error) == (Alarm.exit_code, True), said.error
    assert not new.folder.exists()
    # and on the machine that has the account: it stays as it was
    before = files(alice)
    said = setup(liar, alice)
    assert (said.code, words in said.error) == (Alarm.exit_code, True), said.error
    assert files(alice) == before
    if "Argon2" in name:
        assert not any("/v1/slots" in one for one in liar.asked)  # `auth` was never shown
    liar.lie = truth
    assert setup(liar, new).code == 0


# what a machine has seen before


def behind(liar: Liar, user: User) -> None:
    """From now on the liar is this machine's server."""
    assert setup(liar, user).code == 0


def heard(liar: Liar, user: User) -> dict[str, Any]:
    """What the server has of an account now, by request."""
    found: dict[str, Any] = {}

    def listen(what: str, answer: Any) -> Any:
        found[what] = answer
        return answer

    liar.lie = listen
    assert user.e2email("account", "refresh").code == 0
    liar.lie = truth
    return {what: one for what, one in found.items() if what.startswith("GET") or "login" in what}


def forgetful(old: dict[str, Any], path: str) -> Lie:
    """What it had then, in answer to requests that begin so."""
    return lambda what, answer: old.get(what, answer) if what.startswith(path) else answer


OLD = {
    "vault": ("GET /v1/vault", "older"),
    "history": ("GET /v1/statements?from=1", "older key history"),
    "everything": ("", "older"),
}


def test_what_is_older_than_what_was_seen_is_an_alarm(liar: Liar, alice: User, bob: User) -> None:
    """(5) Rotated here, and then the server, or what was put in its place, knows nothing of it."""
    behind(liar, alice)
    old = heard(liar, alice)
    assert alice.e2email("key", "rotate").code == 0
    before = files(alice)
    lies: list[tuple[Lie, str]] = [(forgetful(old, path), words) for path, words in OLD.values()]
    lies.append((when("GET /v1/vault", vault=b64(box(bob)))(alice, bob), "another account"))
    for lie, words in lies:
        liar.lie = lie
        said = alice.e2email("account", "refresh")
        assert (said.code, words in said.error) == (Alarm.exit_code, True), said.error
        assert files(alice) == before
    liar.lie = truth
    assert alice.e2email("account", "refresh").code == 0


def box(user: User) -> bytes:
    return (user.folder / "vault.box").read_bytes()


@pytest.mark.slow
def test_an_old_passphrase_slot_is_an_alarm(liar: Liar, alice: User, tmp_path: Path) -> None:
    """(5) With the login that goes with it, as from the server's own backup."""
    behind(liar, alice)
    old = heard(liar, alice)
    other = tmp_path / "other"
    other.write_text(NEW)
    changed = alice.e2email("account", "passphrase", "--new-passphrase-file", other)
    assert changed.code == 0, changed.error
    before = files(alice)
    for passphrase in (alice.passphrase, NEW):
        # the old slot, parameters and login, also to whoever types the old passphrase
        liar.instead = lambda what: (200, json.dumps(old[what]).encode()) if what in old else None
        alice.passphrase = passphrase
        said = alice.e2email("account", "refresh")
        assert (said.code, "stretched" in said.error) == (Alarm.exit_code, True), said.error
        assert files(alice) == before
    liar.instead = ask
    assert alice.e2email("account", "refresh").code == 0


NEW = "seven umbrellas on a Thursday"


def test_an_old_state_is_an_alarm_and_what_is_known_is_put_back(
    liar: Liar, alice: User, bob: User
) -> None:
    """(5) The server forgets who was verified."""
    behind(liar, alice)
    alice.sync()
    assert alice.e2email("contact", "add", bob.address).code == 0
    here = alice.unlocked()
    old = AccountApi(here.server).call("GET", "/v1/state", StateBox, login=here.login)
    assert alice.e2email("contact", "verify", bob.address, "--same").code == 0
    liar.lie = lambda what, answer: (
        {**answer, "state": b64(old.state)}
        if what == "GET /v1/state"
        else {**answer, "state_version": 10_000}
        if what == "GET /v1/account"
        else answer
    )
    said = alice.e2email("sync")
    assert "older state" in said.error, (said.code, said.error)
    liar.lie = truth
    shown = alice.e2email("contact", "show", bob.address, "--json").json
    assert shown["keys"][0]["verified"]["how"] == "words"


NOTHING = (200, b"{}")


def test_a_server_that_says_done_and_does_nothing_is_found_out(liar: Liar, alice: User) -> None:
    """And the key that only this machine has now is not lost."""
    behind(liar, alice)
    liar.instead = lambda what: NOTHING if what.startswith("PUT") else None
    rotated = alice.e2email("key", "rotate")
    assert rotated.code == 0, rotated.error
    liar.instead = ask
    before = files(alice)
    made = alice.unlocked()
    said = alice.e2email("account", "refresh")
    assert (said.code, "older" in said.error) == (Alarm.exit_code, True), said.error
    assert files(alice) == before
    assert alice.unlocked().vault == made.vault


def failed(what: str) -> tuple[int, bytes] | None:
    if what.startswith("GET") or "login" in what:
        return None
    return 500, b'{"error":"internal","message":"The server failed."}'


def test_a_server_that_fails_at_a_change_leaves_what_was(liar: Liar, alice: User) -> None:
    behind(liar, alice)
    before = files(alice)
    liar.instead = failed
    said = alice.e2email("key", "rotate")
    assert (said.code, "500" in said.error) == (Offline.exit_code, True), said.error
    assert files(alice) == before
    liar.instead = ask
    assert alice.e2email("key", "rotate").code == 0


def test_poisoned_certificates_are_not_taken_over(liar: Liar, alice: User) -> None:
    """The account's own keys come from the vault, whatever form the server has of them."""
    behind(liar, alice)
    before = alice.unlocked()
    (own,) = before.vault.identities
    stranger = identity(number=9).cert
    grafted = own.certificate + b"".join(
        one.raw for one in packets.split(stranger, 99) if one.tag != packets.PUBLIC_KEY
    )
    for poison in ([grafted, stranger], [own.certificate[:40]]):
        told = [b64(one) for one in poison]
        liar.lie = when("GET /v1/statements", certificates=told)(alice, alice)
        assert alice.e2email("account", "refresh").code == 0
        now = alice.unlocked()
        assert (now.vault, now.statement) == (before.vault, before.statement)


# other people


def of_mallory(address: str) -> Lie:
    """The directory gives the server's own key for this address, with a history that is valid."""
    made = identity(address, 7)
    told = {
        "statements": [b64(entry(address, made))],
        "certificates": [b64(made.cert)],
        "in_use": [made.fingerprint],
    }
    return lambda what, answer: {**answer, **told} if "directory" in what else answer


def test_a_key_at_first_contact_is_shown_and_another_one_later_stops_encryption(
    liar: Liar, alice: User, bob: User
) -> None:
    """(2) The key is pinned with its fingerprint shown; (3) it is not replaced."""
    behind(liar, alice)
    added = alice.e2email("contact", "add", bob.address, "--directory")
    (own,) = bob.unlocked().statement.fingerprints
    shown = added.output.decode().replace(" ", "")
    assert (added.code, own in shown) == (0, True), added.error
    liar.lie = of_mallory(bob.address)
    again = alice.e2email("contact", "add", bob.address, "--directory")
    contact = alice.e2email("contact", "show", bob.address, "--json").json
    assert contact["pinned"] == [own]
    assert contact["state"] != "usable"
    assert (again.code, "Nothing is encrypted" in again.error) == (Alarm.exit_code, True)
    # (12) and that there is nobody changes nothing either
    nobody = {"statements": [], "certificates": [], "in_use": []}
    liar.lie = lambda what, answer: nobody if "directory" in what else answer
    alice.e2email("contact", "add", bob.address, "--directory")
    liar.lie = truth
    assert alice.e2email("contact", "decide", bob.address, "--keep").code == 0
    contact = alice.e2email("contact", "show", bob.address, "--json").json
    assert (contact["pinned"], contact["state"]) == ([own], "usable")


# what is stored


@contextmanager
def database(house: Server) -> Iterator[sqlite3.Connection]:
    """While the server stands still; what it remembers of its rows is gone afterwards."""
    house.stop()
    try:
        with closing(sqlite3.connect(house.data / "mail.db")) as connection:
            connection.row_factory = sqlite3.Row
            with connection:
                yield connection
    finally:
        house.start()


def rows(connection: sqlite3.Connection, user: User) -> list[sqlite3.Row]:
    """The messages in somebody's INBOX, oldest first, with their records."""
    return connection.execute(
        "SELECT m.*, r.* FROM messages m JOIN mailboxes b ON b.id = m.mailbox_id"
        " JOIN accounts a ON a.id = b.account_id JOIN records r ON r.id = m.record"
        " WHERE a.address = ? AND b.name = 'INBOX' ORDER BY uid",
        (user.address,),
    ).fetchall()


def plant(connection: sqlite3.Connection, row: sqlite3.Row, record: Record) -> None:
    """In the place of a record; everything that is derived from it fits."""
    rendered = render(record)
    connection.execute(
        "UPDATE records SET form = ?, policy = ?, outer = ?, boundary = ?, envelope = ?,"
        " body_size = ?, body_crc = ? WHERE id = ?",
        (
            record.form.value, record.policy.value, record.outer, record.boundary,
            record.envelope, record.body_size, record.crc, row["record"],
        ),
    )  # fmt: skip
    connection.execute("UPDATE bodies SET octets = ? WHERE id = ?", (record.body, row["record"]))
    connection.execute(
        "UPDATE messages SET size = ?, header_size = ? WHERE record = ?",
        (rendered.size, len(rendered.header), row["record"]),
    )


class Forger:
    """What the server can make with its own keys and the account's certificate."""

    def __init__(self, house: Server, alice: User) -> None:
        now = int(time.time())
        (own,) = alice.unlocked().vault.identities
        self.owner = gate.recipient(own.certificate, now)
        self.mallory = gate.recipient(identity().cert, now)
        self.arrival = ArrivalKey.load((house.data / "keys" / "arrival.key").read_bytes())
        self.account = alice.address

    def record(self, record_id: bytes, received: bytes, sealer: RealSealer) -> Record:
        return compose(
            b"Return-Path: <>\r\nReceived: from x by y; Sun, 22 Nov 2026 08:00:00 +0000\r\n",
            received,
            account=self.account,
            record_id=record_id,
            boundary=bytes(16).hex().encode(),
            policy=Policy.SEALED,
            arrival=Arrival("smtp", "TLSv1.3", int(time.time()), (("dkim", "pass bank.example"),)),
            sealer=sealer,
        )


class Leaking(RealSealer):
    """Seals to one reader more."""

    more: gate.Recipient

    def seal(self, plaintext: bytes) -> bytes:
        return seal(plaintext, [self.recipient, self.more])


FOREIGN = "someone else can read this mail"


def test_what_is_stored_is_harmed(house: Server, alice: User, bob: User) -> None:
    """(8) bodies exchanged, (9) a record of another user, (10) a blob cut short, (12) mail in
    clear, altered verdicts and a foreign key; the mail beside them is read as ever."""
    for subject in ("whole", "one", "two", "foreign", "cut", "clear", "verdict", "leak"):
        house.deliver(mail(subject), alice.address)
    house.deliver(mail("of bob"), bob.address)
    forger = Forger(house, alice)
    with database(house) as connection:
        found = rows(connection, alice)
        _, one, two, foreign, cut, clear, verdict, leak = found
        bodies = dict(connection.execute("SELECT id, octets FROM bodies").fetchall())
        for there, other in ((one, two), (two, one)):
            connection.execute(
                "UPDATE bodies SET octets = ? WHERE id = ?",
                (bodies[other["record"]], there["record"]),
            )
            connection.execute(
                "UPDATE records SET body_size = ?, body_crc = ? WHERE id = ?",
                (other["body_size"], other["body_crc"], there["record"]),
            )
        (of_bob,) = rows(connection, bob)[-1:]
        connection.execute(
            "UPDATE messages SET (record, record_id, size, header_size) = (?, ?, ?, ?)"
            " WHERE mailbox_id = ? AND uid = ?",
            (
                of_bob["record"], of_bob["record_id"], of_bob["size"], of_bob["header_size"],
                foreign["mailbox_id"], foreign["uid"],
            ),
        )  # fmt: skip
        shorter = bodies[cut["record"]][:-40]
        plant_body(connection, cut, shorter)
        plant_body(connection, clear, b"From: boss@example.net\r\n\r\npay at once\r\n")
        stranger = RealSealer(forger.owner, ArrivalKey.generate())
        plant(connection, verdict, forger.record(verdict["record_id"], mail("bank"), stranger))
        leaking = Leaking(forger.owner, forger.arrival)
        object.__setattr__(leaking, "more", forger.mallory)
        plant(connection, leak, forger.record(leak["record_id"], mail("leaked"), leaking))
    alice.sync()
    shown = {row["uid"]: alice.e2email("show", row["uid"], "--json") for row in found}
    said = {uid: one.json for uid, one in shown.items() if one.code == 0}
    assert "the words of whole" in said[1]["text"]
    for row in (one, two, foreign, cut, clear):
        answer = said[row["uid"]]
        assert answer["security"]["encryption"] == "unreadable", answer
        assert answer["security"]["alarms"], answer
        assert not any(word in str(answer["text"]) for word in ("the words of", "pay at once"))
    assert said[verdict["uid"]]["security"]["origin"] == "unproven"
    assert said[verdict["uid"]]["security"]["verdicts"] == {}
    assert FOREIGN in said[leak["uid"]]["security"]["alarms"]


def plant_body(connection: sqlite3.Connection, row: sqlite3.Row, octets: bytes) -> None:
    """A body of that record's, with sizes and checksum that fit it."""
    record = Record(
        row["record_id"], Form(row["form"]), row["version"], Policy(row["policy"]), row["outer"],
        row["boundary"], row["envelope"], crc24(octets), len(octets), octets,
    )  # fmt: skip
    plant(connection, row, record)


def test_moves_and_doubles_that_nobody_here_made_are_told(house: Server, alice: User) -> None:
    """(9, 11)"""
    for subject in ("moved", "doubled", "left"):
        house.deliver(mail(subject), alice.address)
    alice.sync()
    with database(house) as connection:
        moved, doubled, _ = rows(connection, alice)
        (box,) = connection.execute(
            "SELECT b.* FROM mailboxes b JOIN accounts a ON a.id = b.account_id"
            " WHERE a.address = ? AND b.name = 'Archive'",
            (alice.address,),
        ).fetchall()
        put(connection, moved, box["id"])
        put(connection, doubled, moved["mailbox_id"])
        connection.execute(
            "DELETE FROM messages WHERE mailbox_id = ? AND uid = ?",
            (moved["mailbox_id"], moved["uid"]),
        )
    alice.sync()
    told = alice.e2email("status", "--json").json["elsewhere"]
    assert [(one["mailbox"], one["count"]) for one in told] == [("Archive", 1), ("INBOX", 1)]
    said = alice.e2email("status", "--acknowledge").output.decode()
    assert "appeared in Archive again" in said
    assert alice.e2email("status", "--json").json["elsewhere"] == []


def put(connection: sqlite3.Connection, row: sqlite3.Row, mailbox: int) -> None:
    """The same record once more, as new mail of a mailbox."""
    connection.execute(
        "INSERT INTO messages SELECT ?1, uidnext, highest_modseq + 1, ?2, ?3, ?4, ?5, ?6, ?7, 0"
        " FROM mailboxes WHERE id = ?1",
        (
            mailbox, row["flags"], row["internal_date"], row["size"], row["header_size"],
            row["record_id"], row["record"],
        ),
    )  # fmt: skip
    connection.execute(
        "UPDATE mailboxes SET uidnext = uidnext + 1, highest_modseq = highest_modseq + 1"
        " WHERE id = ?",
        (mailbox,),
    )


def test_an_old_state_of_the_mailbox_is_told(house: Server, alice: User, tmp_path: Path) -> None:
    """(14) New mail is hidden by bringing back what was there before."""
    house.deliver(mail("kept"), alice.address)
    house.stop()
    shutil.copytree(house.data, tmp_path / "before")
    house.start()
    house.deliver(mail("hidden"), alice.address)
    alice.sync()
    house.stop()
    shutil.rmtree(house.data)
    shutil.copytree(tmp_path / "before", house.data)
    house.start()
    alice.sync()
    (notice,) = alice.e2email("status", "--json").json["notices"]
    assert (notice["kind"], notice["mailbox"]) == ("went-back", "INBOX")
