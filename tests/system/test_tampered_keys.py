"""Somebody writes to the database: mail is refused, never sealed to the wrong key; logins fail."""

import imaplib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import count as numbers
from pathlib import Path

import pytest

from e2email_client.api import AccountApi, Login, read_url
from e2email_client.failure import Offline
from e2email_crypto.packets import message_key_ids
from e2email_crypto.recovery import split
from e2email_protocol.account import AccountInfo
from e2email_protocol.sealed.render import parse_rendered
from support.residents import resident
from support.system import Server, User, count, server

MAIL = b"From: carol@example.net\r\nSubject: hello\r\n\r\nText\r\n"
BYSTANDER = "bob@example.test"
MALLORY = resident("mallory@example.test").identity
NUMBERS = numbers(1)

# statements in SQL; `:id` is the account's, `:other` another's
HARMS: dict[str, list[str]] = {
    "a foreign certificate is added": [
        "INSERT INTO certificates (account_id, fingerprint, octets, mac)"
        " VALUES (:id, :fingerprint, :certificate, randomblob(32))"
    ],
    "a foreign certificate with its old MAC": [
        "UPDATE certificates SET fingerprint = :fingerprint, octets = :certificate"
        " WHERE account_id = :id"
    ],
    "the row of another account": [
        "INSERT INTO certificates (account_id, fingerprint, octets, mac)"
        " SELECT :id, fingerprint, octets, mac FROM certificates WHERE account_id = :other"
    ],
    "the certificate is gone": ["DELETE FROM certificates WHERE account_id = :id"],
    "the statement is another's": [
        "UPDATE statements SET (octets, mac) ="
        " (SELECT octets, mac FROM statements WHERE account_id = :other) WHERE account_id = :id"
    ],
    "one octet of the statement": [
        "UPDATE statements SET octets = substr(octets, 1, length(octets) - 1) || x'00'"
        " WHERE account_id = :id"
    ],
    "the statement is gone": ["DELETE FROM statements WHERE account_id = :id"],
    "keys and statement are another's": [
        "DELETE FROM certificates WHERE account_id = :id",
        "INSERT INTO certificates (account_id, fingerprint, octets, mac)"
        " SELECT :id, fingerprint, octets, mac FROM certificates WHERE account_id = :other",
        "UPDATE statements SET (octets, mac) ="
        " (SELECT octets, mac FROM statements WHERE account_id = :other) WHERE account_id = :id",
    ],
    "the policy": ["UPDATE accounts SET policy = 'baseline' WHERE id = :id"],
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own: it is harmed here."""
    aliases = {f"alias{n}@example.test": [f"user{n}@example.test"] for n in range(1, 20)}
    with server(tmp_path_factory.mktemp("tampered") / "server", aliases) as running:
        yield running


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("homes")


@pytest.fixture(scope="module")
def bystander(house: Server, homes: Path) -> User:
    return house.user(BYSTANDER, homes / "bob")


def do(house: Server, statements: list[str], user: User) -> None:
    """Behind the server's back."""
    with closing(sqlite3.connect(house.data / "mail.db", timeout=30)) as connection:
        ids = dict(connection.execute("SELECT address, id FROM accounts").fetchall())
        values = {
            "id": ids[user.address],
            "other": ids[BYSTANDER],
            "fingerprint": MALLORY.fingerprint,
            "certificate": MALLORY.cert,
        }
        for one in statements:
            assert connection.execute(one, values).rowcount == 1
        connection.commit()


def replies(house: Server, *recipients: str) -> list[str]:
    with house.smtp() as client:
        return [one[:3] for one in client.send(MAIL, recipients)]


@pytest.mark.parametrize("harm", HARMS)
def test_a_changed_row_ends_delivery(
    house: Server, homes: Path, bystander: User, harm: str
) -> None:
    number = next(NUMBERS)
    user = house.user(f"user{number}@example.test", homes / f"user{number}")
    house.deliver(MAIL, user.address)  # what the server remembers of the account is warm
    do(house, HARMS[harm], user)

    assert replies(house, user.address)[-1].startswith("4")
    # by now the change is known, and stays a refusal, under every name and beside other people
    with house.smtp() as client:
        assert client.send(MAIL, [user.address])[0].startswith("450 4.7.5")
        assert client.send(MAIL, [f"alias{number}@example.test"])[0].startswith("450 4.7.5")
    assert replies(house, user.address, bystander.address) == ["450", "250", "250"]

    with closing(sqlite3.connect(house.data / "mail.db")) as connection:
        stored = connection.execute(
            "SELECT count(*) FROM messages JOIN mailboxes ON mailboxes.id = mailbox_id"
            " JOIN accounts ON accounts.id = account_id WHERE address = ?",
            (user.address,),
        )
        assert stored.fetchone() == (1,)


def test_what_is_stored_is_for_the_keys_of_its_account(house: Server, bystander: User) -> None:
    own = bystander.unlocked().statement.key_ids
    client = house.imap(bystander)
    for number in range(1, count(client) + 1):
        _, answer = client.fetch(str(number), "(BODY.PEEK[])")
        record = parse_rendered(bytes(answer[0][1]))
        assert message_key_ids(record.body) == message_key_ids(record.envelope) == own
    client.logout()


def test_a_restart_changes_nothing(house: Server, homes: Path, bystander: User) -> None:
    user = house.user("late@example.test", homes / "late")
    do(house, HARMS["a foreign certificate is added"], user)
    house.restart()
    assert replies(house, user.address) == ["450"]
    assert replies(house, bystander.address) == ["250", "250"]
    do(
        house,
        ["DELETE FROM certificates WHERE fingerprint = :fingerprint AND account_id = :id"],
        user,
    )
    assert replies(house, bystander.address)[-1] in {"250", "451"}  # the foreign write is noticed
    assert replies(house, user.address) == ["250", "250"]


# what opens the account, of which one row is changed or made; each leaves the login itself right
LOGIN_HARMS = {
    "a token may more than it might": "UPDATE tokens SET scopes = scopes || ' x'"
    " WHERE account_id = :id",
    "a token is another's": "UPDATE tokens SET account_id = :id WHERE account_id = :other",
    "an app password becomes a device": "UPDATE tokens SET kind = 'app' WHERE account_id = :id",
    "a recovery login of somebody's making": "INSERT OR REPLACE INTO recoveries"
    " (account_id, hash, mac) VALUES (:id, (SELECT hash FROM recoveries WHERE account_id = :id),"
    " randomblob(32))",
}


@pytest.mark.parametrize("harm", LOGIN_HARMS)
def test_a_changed_credential_opens_nothing(house: Server, homes: Path, harm: str) -> None:
    number = next(NUMBERS)
    user = house.user(f"user{number}@example.test", homes / f"user{number}")
    theirs = "another's" in harm
    other = house.user(f"o{number}@example.test", homes / f"o{number}") if theirs else user
    opened = user.unlocked()
    recovery = split(opened.vault.recovery, user.address, "localhost").auth
    bearers = {
        "device": Login.device(other.unlocked().device_token),
        "recovery": Login.recovery(recovery),
    }
    api = AccountApi(read_url(house.url, None, house.ca.read_bytes()))
    for login in bearers.values():
        api.call("GET", "/v1/account", AccountInfo, login=login)
    before = house.log.stat().st_size
    change(house, LOGIN_HARMS[harm], user.address, other.address)

    which = "recovery" if "recovery" in harm else "device"
    with pytest.raises(Offline):  # 503
        api.call("GET", "/v1/account", AccountInfo, login=bearers[which])
    if which == "device":
        with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
            house.imap(other)
    assert b"does not carry its MAC" in house.log.read_bytes()[before:]


def change(house: Server, statement: str, address: str, other: str) -> None:
    with closing(sqlite3.connect(house.data / "mail.db", timeout=30)) as connection:
        ids = dict(connection.execute("SELECT address, id FROM accounts").fetchall())
        values = {"id": ids[address], "other": ids[other]}
        assert connection.execute(statement, values).rowcount > 0
        connection.commit()
