"""The whole drill: mail, backup, shares, the machine is lost, and a clean one reads again."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from e2email_client import custody
from e2email_client.api import AccountApi, Login
from e2email_client.changing import begin
from e2email_client.owner import Passphrase
from e2email_client.paths import Home
from e2email_crypto import kdf, recovery
from e2email_crypto.vault import Custody
from e2email_protocol import account as messages
from support.system import PARAMS, PASSPHRASE, Server, User, run

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
NEW = "an entirely other passphrase 47"
_CARD_WORDS = re.compile(r"\d+\. ([A-Z]{3,4}[a-z]*)")


def words_on(path: Path) -> str:
    """As somebody reads them from a printed card or sheet."""
    page = path.read_text().split("fold here")[0]
    return " ".join(_CARD_WORDS.findall(page))


def codes_on(path: Path) -> str:
    text = path.read_text()
    return "\n".join(
        "".join(one.split()) for one in re.findall(r"E2EMAIL-VAULT:[^\f]+?(?=\n\n)", text)
    )


def exported(user: User, folder: Path) -> dict[str, bytes]:
    done = user.e2email("export", folder)
    assert done.code == 0, done.error
    return {path.name: path.read_bytes() for path in folder.rglob("*.eml")}


def paranoid(user: User) -> None:
    paths = Home(user.home).account(user.address)
    with begin(paths, Passphrase(PASSPHRASE)) as change:
        custody.move(change, Custody.PARANOID, PASSPHRASE, PARAMS)


def given(done) -> dict:
    assert done.code == 0, done.error
    return done.json


def lose(user: User) -> None:
    shutil.rmtree(user.home)


@pytest.fixture
def gran(house: Server, users, tmp_path: Path, request: pytest.FixtureRequest) -> User:
    name = re.sub(r"[^a-z]", "", request.node.name.lower().removeprefix("test"))[:40]
    user = users(name)
    for number in (1, 2, 3):
        house.deliver(MAIL % (number, number), user.address)
    user.sync()
    return user


def at_server(user: User) -> tuple[object, ...]:
    """All that an owner can learn of what the server stores."""
    unlocked = user.unlocked()
    split = kdf.split(PASSPHRASE, PARAMS, user.address, unlocked.server.name)
    api, login = AccountApi(unlocked.server), Login.afresh(user.address, split.auth)
    kinds = {"account": messages.AccountInfo, "slots": messages.Slots,
             "tokens": messages.Tokens, "statements": messages.Statements}  # fmt: skip
    return tuple(api.call("GET", f"/v1/{name}", kind, login=login) for name, kind in kinds.items())


def test_a_drill_changes_nothing(gran: User, tmp_path: Path) -> None:
    sheet, words = tmp_path / "sheet", tmp_path / "words"
    given(gran.backup("paper", "--text", sheet, "--json"))
    words.write_text(words_on(sheet))
    here = {path: path.read_bytes() for path in gran.folder.iterdir() if path.suffix != ".db"}
    here = {path: octets for path, octets in here.items() if ".db" not in path.name}
    before, inbox = at_server(gran), listed(gran)
    drilled = given(gran.backup("drill", "--words-file", words, "--json"))
    assert drilled["succeeded"]
    after = at_server(gran)
    # the day is noted in the shared state, and nowhere else
    assert replace(after[0], state_version=before[0].state_version) == before[0]
    assert after[1:] == before[1:]
    assert listed(gran) == inbox
    assert {path: path.read_bytes() for path in here} == here
    # other words: said so, and nothing is noted
    noted = after[0].state_version
    words.write_text(" ".join(recovery.to_words(bytes(16))))
    refused = gran.backup("drill", "--words-file", words)
    assert refused.code == 4, refused.error
    assert "does not know this address with these recovery words" in refused.error
    assert at_server(gran)[0].state_version == noted


def listed(user: User) -> object:
    with user.server.imap(user) as client:
        client.select("INBOX", readonly=True)
        return client.uid("FETCH", "1:*", "(FLAGS EMAILID)")


@pytest.mark.parametrize("kept", ["cautious", "paranoid"])
def test_from_three_of_five_shares(gran: User, house: Server, tmp_path: Path, kept: str) -> None:
    if kept == "paranoid":
        paranoid(gran)
    before = exported(gran, tmp_path / "before")
    cards, file = tmp_path / "cards", tmp_path / "backup"
    given(gran.backup("split", 3, 5, cards, "--text", "--json"))
    made = given(gran.backup("create", file, "--json"))
    assert (made["mails"], file.stat().st_mode & 0o777) == (None, 0o600)
    shares = tmp_path / "shares"
    shares.write_text("\n\n".join(words_on(cards / f"share-{at}-of-5.txt") for at in (5, 1, 3)))

    drilled = given(gran.backup(
        "drill", *([file] if kept == "paranoid" else []), "--shares-file", shares, "--json"
    ))  # fmt: skip
    assert drilled["opened"]["subject"] == "number 3"
    assert drilled["succeeded"]
    assert drilled["up_to_date"]
    assert not list(gran.home.glob(".drill*"))
    said = gran.e2email("status", "--offline", "--json").json["reminders"]
    assert said == []

    lose(gran)
    clean = User(gran.address, tmp_path / "clean" / "home", house, NEW)
    clean.home.parent.mkdir()
    by_words = ("--address", gran.address, "--server", house.url, "--ca", house.ca)
    where = [file] if kept == "paranoid" else by_words
    given(clean.backup("restore", *where, "--shares-file", shares, "--json"))
    house.deliver(MAIL % (4, 4), gran.address)
    clean.sync()
    after = exported(clean, tmp_path / "after")
    assert after.keys() - before.keys() == {"4.eml"}
    assert {name: after[name] for name in before} == before
    assert clean.e2email("account", "custody", "--json").json["custody"] == kept


@pytest.mark.slow
def test_from_the_sheet_in_paranoid_custody(gran: User, house: Server, tmp_path: Path) -> None:
    paranoid(gran)
    sheet, words, codes = (tmp_path / name for name in ("sheet", "words", "codes"))
    given(gran.backup("paper", "--text", sheet, "--json"))
    words.write_text(words_on(sheet))
    codes.write_text(codes_on(sheet))
    before = exported(gran, tmp_path / "before")
    # the server has nothing that the words alone would open
    refused = gran.backup("drill", "--words-file", words)
    assert refused.code == 7, refused.error
    assert "paranoid" in refused.error
    drilled = given(gran.backup("drill", "--codes", codes, "--words-file", words, "--json"))
    assert (drilled["source"], drilled["opened"]["subject"]) == ("codes", "number 3")
    key, phrase = tmp_path / "key.asc", tmp_path / "phrase"
    phrase.write_text(NEW)
    given(run(
        "e2email_client.backup_main", "extract", "--codes", codes, "--words-file", words,
        "--secret-key", key, "--key-passphrase-file", phrase, "--json",
    ))  # fmt: skip
    assert key.read_bytes().count(b"BEGIN PGP PRIVATE KEY BLOCK") == 1

    lose(gran)
    clean = User(gran.address, tmp_path / "clean" / "home", house, NEW)
    clean.home.parent.mkdir()
    given(clean.backup("restore", "--codes", codes, "--words-file", words, "--json"))
    clean.sync()
    assert exported(clean, tmp_path / "after") == before


def test_from_a_file_when_the_server_is_gone(gran: User, tmp_path: Path) -> None:
    before = exported(gran, tmp_path / "before")
    file, sheet, words = tmp_path / "backup", tmp_path / "sheet", tmp_path / "words"
    made = given(gran.backup("create", "--mail", file, "--json"))
    assert (made["mails"], made["missing"]) == (3, 0)
    given(gran.backup("paper", "--text", sheet, "--json"))
    words.write_text(words_on(sheet))
    verified = given(gran.backup("verify", file, "--json"))
    assert (verified["opened"], verified["mails"], verified["has_mail"]) == (True, 3, True)
    lose(gran)
    nobody = User(gran.address, tmp_path / "nobody" / "home", gran.server, NEW)
    nobody.home.parent.mkdir()
    secret, phrase = tmp_path / "key.asc", tmp_path / "phrase"
    phrase.write_text("to lock the key with 93")
    done = run(
        "e2email_client.backup_main", "extract", file, "--words-file", words,
        "--mail", tmp_path / "mail", "--secret-key", secret, "--key-passphrase-file", phrase,
        "--json",
    )  # fmt: skip
    assert given(done)["mails"] == 3
    found = sorted(path.read_bytes() for path in (tmp_path / "mail" / "INBOX" / "cur").iterdir())
    assert found == sorted(before.values())
    assert secret.read_bytes().startswith(b"-----BEGIN PGP PRIVATE KEY BLOCK-----")


@pytest.mark.slow
def test_by_the_old_passphrase_of_a_file(gran: User, house: Server, tmp_path: Path) -> None:
    file, old = tmp_path / "backup", tmp_path / "old"
    given(gran.backup("create", file, "--json"))
    old.write_text(PASSPHRASE)
    lose(gran)
    clean = User(gran.address, tmp_path / "clean" / "home", house, NEW)
    clean.home.parent.mkdir()
    given(clean.backup("restore", file, "--old-passphrase-file", old, "--json"))
    assert clean.sync()["messages"] == 3
    # the old passphrase ended
    clean.passphrase = PASSPHRASE
    assert clean.e2email("account", "refresh").code == 4
