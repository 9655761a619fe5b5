"""One password for each mail program: hashed, told once, revoked at once."""

import asyncio
import datetime as dt
import imaplib
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlcipher3 import dbapi2

from e2email_client.failure import LocalFault, NotThere
from e2email_client.local import cache
from e2email_client.proxy import passwords as module
from e2email_client.proxy import secrets
from e2email_client.proxy.account import ProxyAccount
from e2email_client.proxy.logins import logged_in, named
from e2email_client.proxy.passwords import GENERAL, MOST, Passwords
from support.home import PASSWORD, Home, eventually, home, listening
from support.passwords import OnePassword
from support.sealed_face import house

KEY = bytes(range(32))
NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def known(tmp_path: Path) -> Iterator[Passwords]:
    state = cache.open_state(tmp_path / "state.db", KEY)
    made = Passwords(state, KEY)
    secrets.obtain([made], NOW)
    yield made
    state.close()


def names(known: Passwords) -> list[str]:
    return [one.name for one in known.every()]


def test_each_opens_and_only_its_own_is_revoked(known: Passwords) -> None:
    mutt, phone = known.make("mutt", 5), known.make("phone", 6)
    assert known.fitting(mutt.encode()) != known.fitting(phone.encode())
    assert None not in (known.fitting(mutt.encode()), known.fitting(phone.encode()))
    assert sorted(names(known)) == [GENERAL, "mutt", "phone"]
    known.revoke("mutt")
    assert known.fitting(mutt.encode()) is None
    assert known.fitting(phone.encode()) in known.ids()
    # a name may come back, the number and the password do not
    assert known.make("mutt", 7) != mutt
    assert known.fitting(mutt.encode()) is None


@pytest.mark.parametrize("wrong", [b"", b"x" * 36, "größe".encode(), b"\xff\xfe", b"\0" * 5000])
def test_what_fits_nothing(known: Passwords, wrong: bytes) -> None:
    assert known.fitting(wrong) is None


def test_only_hashes_are_kept(known: Passwords) -> None:
    made = known.make("mutt", 5)
    rows = known.state.read("SELECT * FROM app_password")
    assert made not in repr(rows)
    assert len(made) == 36
    assert made not in repr(known.every()) + repr(known)
    # without the account's key a hash says nothing
    assert Passwords(known.state, bytes(32)).fitting(made.encode()) is None


def test_the_general_one_can_be_turned_off_and_made_anew(known: Passwords) -> None:
    (first,) = secrets.obtain([known], NOW).passwords
    assert known.fitting(first.encode()) is not None
    known.revoke(GENERAL)
    assert known.fitting(first.encode()) is None
    # it stays off
    assert secrets.obtain([known], NOW).passwords == ("",)
    assert names(known) == []
    again = known.make(GENERAL, 9)
    assert secrets.obtain([known], NOW).passwords == (again,)


def test_one_from_before_there_were_names_goes_on(known: Passwords) -> None:
    with known.state.write() as writer:
        writer.execute("DELETE FROM app_password")
        writer.execute("UPDATE proxy SET password = 'of an earlier version'")
    assert secrets.obtain([known], NOW).passwords == ("of an earlier version",)
    assert known.fitting(b"of an earlier version") in known.ids()


def test_use_is_noted_once_a_minute_and_programs_when_they_are_new(known: Passwords) -> None:
    known.make("mutt", 5)
    number = known.every()[0].id

    def noted() -> tuple[int | None, str]:
        one = next(one for one in known.every() if one.id == number)
        return one.used, one.program

    assert noted() == (None, "")
    for now, program, expected in (
        (1000, "", (1000, "")),
        (1030, "", (1000, "")),
        (1031, "Thunderbird 153", (1031, "Thunderbird 153")),
        (1040, "", (1031, "Thunderbird 153")),
        (1050, "Thunderbird 153", (1031, "Thunderbird 153")),
        (1100, "", (1100, "Thunderbird 153")),
        (1200, "x" * 1000, (1200, "x" * module.PROGRAM_MAX)),
        (900, "", (900, "x" * module.PROGRAM_MAX)),  # the clock was put right
    ):
        known.note(number, now, program)
        assert noted() == expected
    known.note(10**6, 5, "nobody's")


@pytest.mark.parametrize("name", ["", " x", "x ", "a\nb", "/x", "\x1b[2J", "x" * 65, "a\x9bb"])
def test_names_that_are_none(known: Passwords, name: str) -> None:
    with pytest.raises(LocalFault):
        known.make(name, 5)
    assert names(known) == [GENERAL]


def test_refusals(known: Passwords) -> None:
    known.make("größe 1", 5)
    with pytest.raises(LocalFault, match="already"):
        known.make("größe 1", 6)
    with pytest.raises(NotThere):
        known.revoke("nobody")
    for number in range(MOST - 2):
        known.make(f"p{number}", 7)
    with pytest.raises(LocalFault, match=str(MOST)):
        known.make("one more", 8)


async def test_a_full_disk_keeps_nobody_out(known: Passwords, monkeypatch) -> None:
    made = known.make("mutt", 5)

    def full(*_: object) -> None:
        raise dbapi2.OperationalError("database or disk is full")

    monkeypatch.setattr(Passwords, "note", full)
    account = ProxyAccount("a@b.test", known, None, None)  # type: ignore[arg-type]
    entered = await logged_in([account], " A@B.test ", made.encode())
    assert entered is not None
    assert entered.account is account
    assert await logged_in([account], "c@b.test", made.encode()) is None
    assert await logged_in([], "a@b.test", made.encode()) is None


def test_what_a_program_calls_itself() -> None:
    assert named({"name": "Thunderbird", "version": "153", "os": "x"}) == "Thunderbird 153"
    assert named({"vendor": "x"}) == ""


# connections


@pytest.fixture
async def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    monkeypatch.setattr("e2email_client.proxy.doors.REVOKED_SECONDS", 0.02)
    async with (
        house() as server,
        home(server, tmp_path, monkeypatch) as made,
        listening(made),
    ):
        yield made


async def test_a_revoked_password_ends_its_connections(here: Home) -> None:
    passwords = here.account.passwords
    assert isinstance(passwords, OnePassword)
    assert here.certificate is not None
    context = ssl.create_default_context(cadata=here.certificate.authority.decode())
    reader, writer = await asyncio.open_connection("localhost", here.ports.imaps, ssl=context)
    stranger, other = await asyncio.open_connection("localhost", here.ports.imaps, ssl=context)
    writer.write(b'i ID ("name" "mutt" "version" "2.2")\r\n')
    writer.write(f'a LOGIN alice@example.test "{PASSWORD}"\r\n'.encode())
    await asyncio.wait_for(reader.readuntil(b"a OK"), 20)
    assert passwords.notes == ["mutt 2.2"]
    passwords.revoked = True
    assert b"* BYE the password was revoked\r\n" in await asyncio.wait_for(reader.read(), 20)
    # who was not logged in with it is left alone, and cannot be now
    other.write(f'a LOGIN alice@example.test "{PASSWORD}"\r\n'.encode())
    assert await asyncio.wait_for(stranger.readuntil(b"a NO [AUTHENTICATIONFAILED]"), 20)
    for one in (writer, other):
        one.close()


async def test_a_program_that_says_late_what_it_is(here: Home) -> None:
    passwords = here.account.passwords
    assert isinstance(passwords, OnePassword)
    assert here.certificate is not None
    context = ssl.create_default_context(cadata=here.certificate.authority.decode())

    def work() -> None:
        with imaplib.IMAP4_SSL("localhost", here.ports.imaps, ssl_context=context) as client:
            client.login("alice@example.test", PASSWORD)
            client.xatom("ID", '("name" "Thunderbird" "version" "153")')

    await asyncio.to_thread(work)
    await eventually(lambda: passwords.notes == ["", "Thunderbird 153"])
