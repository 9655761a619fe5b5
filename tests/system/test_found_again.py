"""An account was begun anew after everything was lost; then an old backup turns up."""

from pathlib import Path

from support.system import PASSPHRASE, Server, User, run, server

MAIL = b"From: Carol <carol@example.net>\r\nSubject: number %d\r\n\r\nText %d\r\n"
ADDRESS = "gran@example.test"


def exported(user: User, folder: Path) -> list[bytes]:
    done = user.e2email("export", folder, "--received")
    assert done.code in {0, 11}, done.error
    return [path.read_bytes() for path in sorted(folder.rglob("*.eml"))]


def replaced(house: Server) -> str:
    made = run("e2email_server", "invite", "-c", house.config, "--replace", ADDRESS)
    assert made.code == 0, made.error
    return made.output.decode().strip().splitlines()[-1]


def test_old_mail_is_readable_again(tmp_path: Path) -> None:
    with server(tmp_path / "server") as house:
        old = house.user(ADDRESS, tmp_path / "old")
        mails = [MAIL % (n, n) for n in (1, 2)]
        for mail in mails:
            house.deliver(mail, ADDRESS)
        old.sync()
        file, key, phrase = (tmp_path / name for name in ("file", "key.asc", "phrase"))
        made = old.backup("create", file, "--json")
        assert made.code == 0, made.error

        new = house.user(ADDRESS, tmp_path / "new", invite=replaced(house))
        house.deliver(MAIL % (3, 3), ADDRESS)
        for _ in range(2):  # it waits for a key, and is not given up
            waiting = new.e2email("sync")
            assert (waiting.code, "sync again" in waiting.error) == (0, False)
            assert b"2 older messages take a key that this account does not have" in waiting.output
        assert exported(new, tmp_path / "before") == [MAIL % (3, 3)]

        phrase.write_text(PASSPHRASE)
        extracted = new.backup(
            "extract", file, "--secret-key", key, "--key-passphrase-file", phrase
        )
        assert extracted.code == 0, extracted.error
        taken = new.e2email(
            "key", "import", key, "--for-reading", "--import-passphrase-file", phrase
        )
        assert taken.code == 0, taken.error
        new.sync()
        assert exported(new, tmp_path / "after") == [*mails, MAIL % (3, 3)]
