"""Bringing mail.db up to the schema of this program, at start, before anything else opens it."""

import os
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from e2email_server.store.engine import write_engine
from e2email_server.store.errors import StoreUnusable

_SCRIPTS = Path(__file__).parent / "migrations"


def migrate(database: Path) -> None:
    """Make or upgrade the database (mode 0600).

    Raises StoreUnusable when it was made by a newer program, or is not a database.
    """
    _make_file(database)
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    engine = write_engine(database)
    try:
        with engine.begin() as connection:
            heads = MigrationContext.configure(connection).get_current_heads()
            if not _revisions(config).issuperset(heads):
                raise StoreUnusable(
                    f"{database}: made by a newer e2email-server; install that version"
                )
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreUnusable(f"{database}: cannot be opened: {error.__cause__}") from error
    finally:
        engine.dispose()


def _make_file(database: Path) -> None:
    """The empty file, its name durable: SQLite itself syncs the folder only for its log."""
    database.touch(mode=0o600)
    folder = os.open(database.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _revisions(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
