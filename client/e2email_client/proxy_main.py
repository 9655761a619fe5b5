"""The program `e2email-proxy`. Its commands are click commands added to `e2email_proxy`."""

from typing import Never

import click

from e2email_client.entry import run, version_option


@click.group()
@version_option
def e2email_proxy() -> None:
    """Your opened mail on this machine, for Thunderbird, mutt and any other mail program."""


def main() -> Never:
    run("e2email-proxy", e2email_proxy)


if __name__ == "__main__":
    main()
