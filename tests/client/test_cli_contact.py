"""`e2email contact`: what it prints, asks, and says no to."""

import json
import time

import pytest

from e2email_client import contact_view
from e2email_client.cli import contact as cli
from e2email_client.contact import Source
from e2email_client.contacts import open_contacts
from e2email_client.failure import Offline
from e2email_client.finding import Finder
from e2email_client.stores import open_stores
from support.foreign_keys import BOB, foreign
from support.machine import Machine

CAROL = "carol@example.net"


@pytest.fixture
def files(tmp_path):
    paths = []
    for number in (1, 2):
        paths.append(tmp_path / f"bob{number}.asc")
        paths[-1].write_bytes(foreign(number=number).cert)
    return paths


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    """No key directory is asked."""

    class Silent:
        def look_up(self, address):
            raise Offline("The key directory does not answer.")

    def finder(unlocked, contacts):
        class Api:
            def call(self, *_, **__):
                raise Offline("The server is not reachable.")

        return Finder(contacts, Api(), unlocked.login, Silent())

    monkeypatch.setattr(cli, "_finder", finder)


def ok(machine: Machine, *arguments):
    done = machine.run("contact", *map(str, arguments), "--json")
    assert (done.code, done.err) == (0, ""), done.err
    return json.loads(done.out)


def test_nobody_is_known_at_first(machine):
    assert ok(machine, "list") == {"contacts": []}
    done = machine.run("contact", "show", BOB)
    assert done.code == 10
    assert "contact add" in done.err


def test_a_key_from_a_file_is_pinned_shown_and_listed(machine, files):
    answer = ok(machine, "add", BOB, "--file", files[0])
    (found,) = answer["found"]
    assert found == {
        "source": "file",
        "result": "pinned",
        "fingerprint": foreign().fingerprint,
        "said": None,
    }
    shown = ok(machine, "show", BOB)
    assert answer["contact"] == shown
    assert (shown["address"], shown["state"], shown["how"]) == (BOB, "usable", "first-use")
    (key,) = shown["keys"]
    assert (key["state"], key["user_ids"]) == ("pinned", [f"Key 1 <{BOB}>"])
    assert len(shown["words"]) == 16
    assert ok(machine, "list") == {"contacts": [shown]}
    text = machine.run("contact", "show", BOB).text
    assert foreign().fingerprint[:4] in text
    assert shown["words"][0] in text
    assert "first use" in machine.run("contact", "list").text


def test_another_key_is_an_alarm_until_it_is_decided(machine, files):
    ok(machine, "add", BOB, "--file", files[0])
    done = machine.run("contact", "add", BOB, "--file", str(files[1]))
    assert done.code == 5
    assert "contact decide" in done.err
    shown = ok(machine, "show", BOB)
    assert (shown["state"], shown["pinned"]) == ("changed", [foreign().fingerprint])
    assert sorted(one["state"] for one in shown["keys"]) == ["new", "pinned"]
    text = machine.run("contact", "show", BOB).text
    assert "NOTHING IS ENCRYPTED" in text
    assert "NEW" in text

    asked = machine.run("contact", "decide", BOB)
    assert asked.code == 2
    assert machine.run("contact", "decide", BOB, "--keep", "--fingerprint", "A").code == 2
    assert machine.run("contact", "verify", BOB, "--same").code == 9
    shown = ok(machine, "decide", BOB, "--accept")
    assert (shown["state"], shown["pinned"]) == ("usable", [foreign(number=2).fingerprint])
    assert [one["what"] for one in shown["events"]] == ["pinned", "changed", "accepted"]
    assert ok(machine, "decide", BOB, "--distrust")["state"] == "distrusted"


def test_words_or_a_scanned_code_verify(machine, files):
    ok(machine, "add", BOB, "--file", files[0])
    assert machine.run("contact", "verify", BOB).code == 9  # nobody can be asked
    other = machine.run("contact", "verify", BOB, "--scanned", f"OPENPGP4FPR:{'A' * 40}")
    assert (other.code, "Do not trust" in other.err) == (5, True)
    assert not any(one["verified"] for one in ok(machine, "show", BOB)["keys"])
    code = f"OPENPGP4FPR:{foreign().fingerprint}"
    shown = ok(machine, "verify", BOB, "--scanned", code)
    assert shown["keys"][0]["verified"]["how"] == "qr"
    assert "verified" in machine.run("contact", "list").text
    assert ok(machine, "verify", BOB, "--same")["keys"][0]["verified"]["how"] == "words"


@pytest.mark.parametrize("same", [True, False])
def test_a_person_is_asked_whether_the_words_are_the_same(machine, files, monkeypatch, same):
    ok(machine, "add", BOB, "--file", files[0])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda *_, **__: same)
    done = machine.run("contact", "verify", BOB, terminal=True)
    words = ok(machine, "show", BOB)["words"]
    assert all(word in done.err for word in words)
    assert done.code == (0 if same else 5)
    assert bool(ok(machine, "show", BOB)["keys"][0]["verified"]) is same


def test_what_cannot_be_used_is_named(machine, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(foreign().tsk)
    done = machine.run("contact", "add", BOB, "--file", str(secret))
    assert done.code == 11
    assert "secret key" in done.text
    assert machine.run("contact", "add", BOB, "--file", str(tmp_path / "none")).code == 9
    assert machine.run("contact", "add", BOB).code == 6
    assert machine.run("contact", "add", BOB, "--wkd", "--file", str(secret)).code == 2
    assert machine.run("contact", "add", "nobody").code == 9
    assert machine.run("contact", "add", "alice@example.test", "--wkd").code == 9
    assert ok(machine, "list") == {"contacts": []}


def test_text_from_outside_is_cleaned(machine, files):
    evil = "\x1b[2J\u202e"
    with open_stores(machine.unlocked) as stores:
        contacts = open_contacts(machine.unlocked, stores)
        now = int(time.time())
        certificate = foreign(CAROL).cert
        contacts.offer(CAROL, certificate, Source.FILE, now)
    shown = ok(machine, "show", CAROL)
    shown["keys"][0]["user_ids"] = [f"{evil} <{CAROL}>"]
    assert not set(evil[:1] + evil[-1]) & set("".join(contact_view.lines(shown)))
