"""A Maildir that mbsync keeps in step with the proxy."""

from pathlib import Path

from support.programs import Desk

MBSYNC = """
IMAPAccount proxy
Host {host}
Port {imaps}
User {user}
Pass {password}
SSLType IMAPS
CertificateFile {certificate}

IMAPStore far
Account proxy

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
"""


def mbsync(desk: Desk) -> None:
    done = desk.run("mbsync", "-c", desk.home / "mbsyncrc", "-a")
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def maildir(desk: Desk, mailbox: str = "INBOX") -> list[Path]:
    folder = desk.home / "mail" / mailbox
    return [path for name in ("new", "cur") for path in sorted((folder / name).glob("*"))]


def one(desk: Desk, text: bytes, mailbox: str = "INBOX") -> Path:
    (found,) = [path for path in maildir(desk, mailbox) if text in path.read_bytes()]
    return found


def flag(path: Path, flags: str) -> None:
    """As a Maildir says it: in the name, in cur/."""
    name = path.name.partition(":2,")[0]
    path.rename(path.parent.parent / "cur" / f"{name}:2,{flags}")
