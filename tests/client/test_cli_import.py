"""`e2email import`: sealed here, kept until there is a server, and never taken twice."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2email_client import importing, upstream
from e2email_client.failure import Offline, Refused
from e2email_client.local.cache import open_state
from e2email_client.local.entries import Entry, Kind
from e2email_client.local.journal import Journal
from e2email_client.local.reserve import Reserve
from e2email_client.stores import open_opening
from e2email_protocol.sealed.render import parse_rendered
from support.cli_output import documented, keys
from support.machine import Machine

FROM = b"From bob@example.net Tue Jan  5 10:11:12 2021\n"
MAILS = [b"Subject: canary %d\r\n\r\nText %d\r\n" % (n, n) for n in range(3)]
MBOX = b"".join(FROM + mail.replace(b"\r\n", b"\n") + b"\n" for mail in MAILS)


class Server:
    """What an import asks of one: APPENDs are kept, by their place."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, bytes, frozenset[str], datetime]] = []
        self.down = False
        self.refuses = ""
        self.breaks_after = 1 << 30

    async def connect(self, *_: Any) -> tuple["Server", None]:
        await asyncio.sleep(0)
        if self.down:
            raise Offline("The server is not reachable.")
        return self, None

    async def append(
        self, name: str, octets: bytes, flags: frozenset[str], when: datetime
    ) -> tuple[int, int]:
        if self.refuses:
            raise Refused(self.refuses, "no")
        if len(self.kept) >= self.breaks_after:
            raise Offline("The line went dead.")
        self.kept.append((name, octets, flags, when))
        return 7, len(self.kept)

    def close(self) -> None:
        return None


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()
    monkeypatch.setattr(upstream, "connect", made.connect)
    return made


@pytest.fixture
def here(machine: Machine) -> Machine:
    """With a synchronised account."""
    machine.deliver(b"Subject: there before\r\n\r\n")
    assert machine.run("sync").code == 0
    return machine


@pytest.fixture
def mbox(tmp_path: Path) -> Path:
    path = tmp_path / "old.mbox"
    path.write_bytes(MBOX)
    return path


def imported(machine: Machine, *arguments: object, code: int = 0) -> dict[str, Any]:
    done = machine.run("import", *map(str, arguments), "--json")
    assert done.code == code, done.err
    answer: dict[str, Any] = json.loads(done.out)
    return answer


def delivered(machine: Machine, records: list[bytes]) -> list[bytes]:
    """What is in them, opened with the account's key; each proven to be made on this machine."""
    opening = open_opening(machine.unlocked, workers=1)
    try:
        read = [parse_rendered(one) for one in records]
        assert all(read)
        ids = ["E" + one.record_id.hex() for one in read if one]
        found = opening.bodies(list(zip(ids, records, strict=True)))
        for _, (summary, _) in found:
            assert summary.security.origin == "device"
            assert summary.security.alarms == ()
        return [body.delivered for _, (_, body) in found]
    finally:
        opening.close()


def waiting(machine: Machine) -> list[Entry]:
    keys = machine.unlocked.vault.store_keys
    state = open_state(machine.unlocked.paths.state_db, keys.state_db)
    try:
        return Journal(state, Reserve(machine.unlocked.paths.reserve)).pending()
    finally:
        state.close()


def test_an_mbox_goes_up_sealed(here: Machine, server: Server, mbox: Path) -> None:
    answer = imported(here, mbox, "--mailbox", "Archive")
    assert answer == {
        "mailbox": "Archive", "imported": 3, "known": 0, "deleted": 0, "refused": 0, "rejected": 0,
        "waiting": 0,
    }  # fmt: skip
    assert [name for name, *_ in server.kept] == ["Archive"] * 3
    assert {when for *_, when in server.kept} == {datetime(2021, 1, 5, 10, 11, 12, tzinfo=UTC)}
    assert not any(b"canary" in octets for _, octets, *_ in server.kept)
    assert delivered(here, [octets for _, octets, *_ in server.kept]) == MAILS


def test_flags_of_a_maildir_and_the_date_of_a_file(
    here: Machine, server: Server, tmp_path: Path
) -> None:
    for part in ("cur", "new", "tmp"):
        (tmp_path / "M" / part).mkdir(parents=True)
    (tmp_path / "M" / "cur" / "1.host:2,FS").write_bytes(MAILS[0])
    single = tmp_path / "a.eml"
    single.write_bytes(b"Date: Tue, 5 Jan 2021 10:11:12 +0000\r\n" + MAILS[1])
    future = tmp_path / "b.eml"
    future.write_bytes(b"Date: Tue, 5 Jan 2999 10:11:12 +0000\r\n" + MAILS[1])
    assert imported(here, tmp_path / "M", single, future)["imported"] == 3
    assert [flags for _, _, flags, _ in server.kept] == [{"\\Flagged", "\\Seen"}, set(), set()]
    assert server.kept[1][3] == datetime(2021, 1, 5, 10, 11, 12, tzinfo=UTC)
    assert server.kept[2][3] <= datetime.now(UTC)


def test_the_same_again_takes_nothing(here: Machine, server: Server, mbox: Path) -> None:
    imported(here, mbox)
    with mbox.open("ab") as file:
        file.write(FROM + b"Subject: new\n\nnew\n\n")
    answer = imported(here, mbox)
    assert (answer["imported"], answer["known"]) == (1, 3)
    assert len(server.kept) == 4
    # into another mailbox it is another import, and so it is when asked for
    assert imported(here, mbox, "--mailbox", "Archive")["imported"] == 4
    assert imported(here, mbox, "--again")["imported"] == 4


def test_offline_it_waits(here: Machine, server: Server, mbox: Path) -> None:
    server.down = True
    answer = imported(here, mbox)
    assert (answer["imported"], answer["waiting"]) == (3, 3)
    assert imported(here, mbox)["known"] == 3
    assert [one.kind for one in waiting(here)] == [Kind.APPEND] * 3
    for path in here.unlocked.paths.folder.iterdir():
        assert b"canary" not in path.read_bytes()
    server.down = False
    other = mbox.with_name("none.mbox")
    other.write_bytes(b"")
    assert imported(here, other, "--format", "mbox")["waiting"] == 0
    assert delivered(here, [octets for _, octets, *_ in server.kept]) == MAILS


def test_a_line_that_breaks_in_between(here: Machine, server: Server, mbox: Path) -> None:
    server.breaks_after = 1
    assert imported(here, mbox)["waiting"] == 2
    server.breaks_after = 100
    assert imported(here, mbox)["waiting"] == 0
    assert delivered(here, [octets for _, octets, *_ in server.kept]) == MAILS


def test_interrupted_it_goes_on(
    here: Machine, server: Server, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the third message; what was taken before is on the disk."""
    real, count = importing.Importer.add, [0]

    def add(self: Any, *rest: Any) -> None:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        real(self, *rest)

    monkeypatch.setattr(importing.Importer, "add", add)
    assert here.run("import", str(mbox)).code == 130
    monkeypatch.undo()
    here.patch(monkeypatch)
    monkeypatch.setattr(upstream, "connect", server.connect)
    answer = imported(here, mbox)
    assert (answer["imported"], answer["known"], answer["waiting"]) == (1, 2, 0)
    assert delivered(here, [octets for _, octets, *_ in server.kept]) == MAILS


def test_it_is_sent_as_it_goes(
    here: Machine, server: Server, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SEND_OCTETS", 1)
    most: list[int] = []
    real = server.append

    async def append(*rest: Any) -> tuple[int, int]:
        most.append(len(waiting(here)))
        return await real(*rest)

    monkeypatch.setattr(server, "append", append)
    imported(here, mbox)
    assert max(most) == 1


def test_so_much_waits_and_no_more(
    here: Machine, server: Server, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.down = True
    monkeypatch.setattr(importing, "WAITING_OCTETS", 1)
    done = here.run("import", str(mbox))
    assert done.code == 11
    assert "again later" in done.err
    assert len(waiting(here)) == 1


def test_what_the_server_never_takes_is_said(here: Machine, server: Server, mbox: Path) -> None:
    server.refuses = "OVERQUOTA"
    answer = imported(here, mbox, code=11)
    assert (answer["waiting"], answer["rejected"]) == (0, 3)
    assert not server.kept
    server.refuses = ""
    answer = imported(here, mbox, "--again")
    assert (answer["imported"], answer["rejected"]) == (3, 0)
    assert len(server.kept) == 3


def test_too_large_a_message_is_named_and_the_others_go_on(
    here: Machine, server: Server, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from e2email_client import mailfiles

    monkeypatch.setattr(mailfiles, "MAX_MAIL", 60)
    mbox.write_bytes(FROM + b"x" * 100 + b"\n\n" + MBOX)
    answer = imported(here, mbox, code=11)
    assert (answer["imported"], answer["refused"]) == (3, 1)
    assert "message 1" in here.run("import", str(mbox)).err


def test_what_thunderbird_deleted_stays_deleted(here: Machine, server: Server, mbox: Path) -> None:
    mbox.write_bytes(FROM + b"X-Mozilla-Status: 0009\nSubject: gone\n\n\n" + MBOX)
    answer = imported(here, mbox)
    assert (answer["imported"], answer["deleted"]) == (3, 1)


def test_mistakes(here: Machine, server: Server, mbox: Path, tmp_path: Path) -> None:
    assert here.run("import", str(mbox), "--mailbox", "Nowhere").code == 10
    assert here.run("import", str(tmp_path)).code == 9
    assert here.run("import", str(tmp_path / "none")).code == 2
    assert here.run("import").code == 2
    single = tmp_path / "a.eml"
    single.write_bytes(MAILS[0])
    assert here.run("import", str(single), "--format", "mbox").code == 9
    assert not server.kept


def test_a_machine_without_a_key_of_its_own(
    here: Machine, server: Server, mbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    here.unlocked = replace(here.unlocked, device_key=None)
    done = here.run("import", str(mbox))
    assert done.code == 3
    assert "setup" in done.err


def test_the_json_is_documented(here: Machine, server: Server, mbox: Path) -> None:
    assert keys(imported(here, mbox)) <= documented("import")
