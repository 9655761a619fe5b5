"""What mail programs on this machine log in with: one password each, revocable by itself.

Kept as keyed hashes in state.db. The first one, `general`, is made together with the certificate
and shown by `e2email-proxy settings`, so it is also kept as it is (proxy/secrets.py).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from e2email_client.failure import LocalFault, NotThere
from e2email_client.local.cipher import Database
from e2email_client.unlock import Unlocked
from e2email_crypto import kdf, token

GENERAL = "general"
PREFIX = "e2p_"
# A person has a handful of programs; at every login the password is compared with each.
MOST = 100
NAME_MAX = 64
PROGRAM_MAX = 64
# Every note is a commit to the disk, and some programs log in every few seconds.
USED_EVERY = 60
_KEY_LABEL = b"e2email v1 app password"
_NAME = re.compile(r"[^\x00-\x20\x7f-\xa0/](?:[^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\xa0])?")


@dataclass(frozen=True, slots=True)
class AppPassword:
    """One of them, without its secret. `used`: seconds since 1970, None: never."""

    id: int
    name: str
    created: int
    used: int | None
    program: str


class Passwords:
    """Those of one account. All methods block for as long as the disk does."""

    def __init__(self, state: Database, key: bytes) -> None:
        self.state = state
        self._key = key

    def __repr__(self) -> str:
        return "Passwords()"

    def every(self) -> list[AppPassword]:
        rows = self.state.read(
            "SELECT id, name, created, used, program FROM app_password ORDER BY created, id"
        )
        return [AppPassword(*row) for row in rows]

    def ids(self) -> frozenset[int]:
        return frozenset(row[0] for row in self.state.read("SELECT id FROM app_password"))

    def version(self) -> int:
        """Another number after another program wrote to the file."""
        return self.state.foreign_version()

    def make(self, name: str, now: int) -> str:
        """The password, which nobody is told again. LocalFault: the name is taken or none."""
        made = token.generate(PREFIX)
        with self.state.write() as writer:
            add(writer, name, token.token_hash(made, self._key), now)
            if name == GENERAL:
                writer.execute("UPDATE proxy SET password = ?", (made,))
        return made

    def revoke(self, name: str) -> None:
        """No login with it from now on. NotThere."""
        with self.state.write() as writer:
            writer.execute("DELETE FROM app_password WHERE name = ?", (name,))
            if not writer.execute("SELECT changes()").fetchone()[0]:
                raise NotThere(f"There is no password named {name}; see e2email app-password list.")
            if name == GENERAL:
                writer.execute("UPDATE proxy SET password = ''")

    def keep(self, writer: Any, name: str, password: str, now: int) -> None:
        """Within a transaction: one that was made elsewhere."""
        add(writer, name, token.token_hash(password, self._key), now)

    def fitting(self, password: bytes) -> int | None:
        """Which one this is: its id. Compared with each, so that time tells nothing."""
        # what is not ASCII fits nothing, and takes as long
        shown = token.token_hash(password.decode("ascii", "replace"), self._key)
        found = None
        for number, stored in self.state.read("SELECT id, hash FROM app_password"):
            if hmac.compare_digest(stored, shown):
                found = int(number)
        return found

    def note(self, number: int, now: int, program: str) -> None:
        """It was used; "": by a program that does not say what it is."""
        program = program[:PROGRAM_MAX]
        known = self.state.read("SELECT used, program FROM app_password WHERE id = ?", (number,))
        if not known or (
            known[0][0] is not None
            and 0 <= now - known[0][0] < USED_EVERY
            and program in ("", known[0][1])
        ):
            return
        with self.state.write() as writer:
            writer.execute(
                "UPDATE app_password SET used = ?,"
                " program = CASE ? WHEN '' THEN program ELSE ? END WHERE id = ?",
                (now, program, program, number),
            )


def add(writer: Any, name: str, hashed: bytes, now: int) -> None:
    """Within a transaction. LocalFault."""
    if len(name) > NAME_MAX or not _NAME.fullmatch(name):
        raise LocalFault(f"A name has 1 to {NAME_MAX} letters, and no slash in front.")
    rows: Sequence[Any] = writer.execute("SELECT name FROM app_password").fetchall()
    if name in {row[0] for row in rows}:
        raise LocalFault(f"There is a password named {name} already; revoke it first.")
    if len(rows) >= MOST:
        raise LocalFault(f"There are {MOST} passwords already; revoke some.")
    writer.execute(
        "INSERT INTO app_password (name, hash, created) VALUES (?, ?, ?)", (name, hashed, now)
    )


def passwords(unlocked: Unlocked, state: Database) -> Passwords:
    """Hashed under a key that only the open account gives."""
    return Passwords(state, kdf.hkdf(unlocked.vault.store_keys.state_db, _KEY_LABEL))
