"""Options for a secret beside the account's passphrase: `--NAME-passphrase-fd` or `-file`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from e2email_client.passphrase import Source

Command = Callable[..., Any]


def secret_options(name: str, what: str) -> Callable[[Command], Command]:
    """The command gets `NAME_source: Source`."""

    def options(command: Command) -> Command:
        @functools.wraps(command)
        def wrapper(**rest: Any) -> Any:
            descriptor = rest.pop(f"{name}_passphrase_fd")
            file = rest.pop(f"{name}_passphrase_file")
            if descriptor is not None and file is not None:
                raise click.UsageError(
                    f"Give --{name}-passphrase-fd or --{name}-passphrase-file, not both."
                )
            return command(**{f"{name}_source": Source(descriptor, file)}, **rest)

        by_fd = click.option(
            f"--{name}-passphrase-fd", type=int, metavar="N", help=f"{what}, from descriptor N."
        )
        by_file = click.option(
            f"--{name}-passphrase-file",
            type=click.Path(dir_okay=False, path_type=Path),
            help=f"{what}, from a file.",
        )
        return by_fd(by_file(wrapper))

    return options
