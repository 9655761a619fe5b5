"""Where everything lies on the user's machine, and nothing else."""

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

HOME_VARIABLE = "E2EMAIL_HOME"


@dataclass(frozen=True, slots=True)
class AccountPaths:
    """The files of one account. docs/specs/cli.md, "Files"."""

    folder: Path

    @property
    def settings(self) -> Path:
        return self.folder / "account.toml"

    @property
    def ca(self) -> Path:
        """The server's certificate authority, when it is not a public one."""
        return self.folder / "ca.pem"

    @property
    def vault(self) -> Path:
        return self.folder / "vault.box"

    @property
    def statements(self) -> Path:
        """The key history as it was last verified."""
        return self.folder / "statements.json"

    @property
    def device(self) -> Path:
        """What only this device holds, encrypted under the account key."""
        return self.folder / "device.box"

    @property
    def lock(self) -> Path:
        """Held by the program that syncs; empty."""
        return self.folder / "sync.lock"

    @property
    def history_lock(self) -> Path:
        """Held while `statements` and what the settings say of them are written; empty."""
        return self.folder / "history.lock"

    @property
    def change_lock(self) -> Path:
        """Held by the program that changes keys, slots or devices; empty."""
        return self.folder / "change.lock"

    @property
    def pending(self) -> Path:
        """Files of a change that the server may have taken or not (staging)."""
        return self.folder / "change.pending"

    @property
    def ready(self) -> Path:
        """Files of a change that the server took, on their way to their places."""
        return self.folder / "change.ready"

    @property
    def replay_lock(self) -> Path:
        """Held by the program that sends what the journal holds; empty."""
        return self.folder / "replay.lock"

    @property
    def bell(self) -> Path:
        """A socket on which the program that syncs hears that there is something in the journal."""
        return self.folder / "bell"

    @property
    def reserve(self) -> Path:
        """Room on the disk for the journal."""
        return self.folder / "journal.reserve"

    def slot(self, kind: str) -> Path:
        return self.folder / f"{kind}.slot"

    @property
    def state_db(self) -> Path:
        return self.folder / "state.db"

    @property
    def cache_db(self) -> Path:
        return self.folder / "cache.db"

    @property
    def chunks(self) -> Path:
        """Large mail, a file each; belongs to `cache_db`."""
        return self.folder / "chunks"


@dataclass(frozen=True, slots=True)
class Home:
    """The folder that holds all accounts of this user."""

    root: Path

    @property
    def accounts(self) -> Path:
        return self.root / "accounts"

    def account(self, address: str) -> AccountPaths:
        """Names are quoted, so that no address reaches outside the folder."""
        return AccountPaths(self.accounts / quote(address, safe="@+"))


def find_home(given: str | None = None) -> Home:
    """`--home`, else E2EMAIL_HOME, else the platform's folder for user data."""
    chosen = given or os.environ.get(HOME_VARIABLE)
    if chosen:
        return Home(Path(chosen).expanduser().absolute())
    import platformdirs  # 10 ms that --version need not pay

    return Home(Path(platformdirs.user_data_dir("e2email", appauthor=False)))
