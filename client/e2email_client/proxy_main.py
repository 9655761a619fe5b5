"""The program `e2email-proxy`. Each command is a file in `e2email_client.proxy_cli`."""

from typing import Never

import click

from e2email_client import proxy_cli
from e2email_client.entry import LazyGroup, run, version_option
from e2email_client.hardening import harden


@click.group(cls=LazyGroup, package=proxy_cli)
@version_option
def e2email_proxy() -> None:
    """Your opened mail on this machine, for Thunderbird, mutt and any other mail program."""


def main() -> Never:
    harden()
    run("e2email-proxy", e2email_proxy)


if __name__ == "__main__":
    main()
