"""The program `e2email`. Each command is a file in `e2email_client.cli`."""

from typing import Never

import click

from e2email_client import cli
from e2email_client.entry import LazyGroup, run, version_option
from e2email_client.hardening import harden


@click.group(cls=LazyGroup, package=cli)
@version_option
def e2email() -> None:
    """Mail that only you can read: set up an account, fetch, show, search and export its mail."""


def main() -> Never:
    harden()
    run("e2email", e2email)


if __name__ == "__main__":
    main()
