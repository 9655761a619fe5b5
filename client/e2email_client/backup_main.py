"""The program `e2email-backup`. Each command is a file in `e2email_client.backup_cli`."""

from typing import Never

import click

from e2email_client import backup_cli
from e2email_client.entry import LazyGroup, run, version_option
from e2email_client.hardening import harden


@click.group(cls=LazyGroup, package=backup_cli)
@version_option
def e2email_backup() -> None:
    """Keep your key from being lost: backup files, paper, shares, and a drill that proves them."""


def main() -> Never:
    harden()
    run("e2email-backup", e2email_backup)


if __name__ == "__main__":
    main()
