"""What the console scripts share: lazy commands, and errors as one sentence and an exit code."""

import importlib
import io
import os
import pkgutil
import sys
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Never

import click

from e2email_client.failure import ClientError

DEBUG_VARIABLE = "E2EMAIL_DEBUG"
INTERNAL_ERROR = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count
USAGE = 2


class LazyGroup(click.Group):
    """Commands are the modules of a package, imported when they are called or described."""

    def __init__(self, *arguments: object, package: ModuleType, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]  # click's own parameters
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        found = [module.name for module in pkgutil.iter_modules(self._package.__path__)]
        lazy = [name.replace("_", "-") for name in found if not name.startswith("_")]
        return sorted({*lazy, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if (known := super().get_command(ctx, cmd_name)) is not None:
            return known
        if cmd_name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{self._package.__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


def print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    """Callback of --version; reading package metadata is left to those who ask for it."""
    if value and not ctx.resilient_parsing:
        click.echo(f"{ctx.find_root().info_name} {version('e2email')}")
        ctx.exit()


version_option = click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)


def run(program: str, group: click.Group, arguments: list[str] | None = None) -> Never:
    """Run a program to its exit code. docs/specs/cli.md lists the codes."""
    sys.exit(_exit_code(program, lambda: group.main(arguments, program, standalone_mode=False)))


def _exit_code(program: str, action: Callable[[], object]) -> int:
    if sys.platform == "win32":
        return _say(f"{program}: Windows is not supported; use Linux, or WSL on Windows.", USAGE)
    for stream in (sys.stdout, sys.stderr):
        # letters that the locale's charset lacks are shown as escapes, and are no error
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        result = action()
        code = result if isinstance(result, int) else 0
    except click.ClickException as fault:
        shown = io.StringIO()
        fault.show(shown)
        code = _say(shown.getvalue().removesuffix("\n"), fault.exit_code)
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except ClientError as fault:
        code = _say(f"{program}: {fault}", fault.exit_code)
    except BrokenPipeError:
        # `e2email export | head`: what is still buffered has nowhere to go
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = INTERNAL_ERROR
    except Exception as fault:  # the outermost door: a person gets a sentence, never a traceback
        if os.environ.get(DEBUG_VARIABLE):
            raise
        # the text of an unforeseen error may quote mail or secrets; its type does not
        kind = type(fault).__name__
        hint = f"set {DEBUG_VARIABLE}=1 to see where"
        code = _say(f"{program}: Internal error ({kind}); {hint}.", INTERNAL_ERROR)
    return code


def _say(sentence: str, code: int) -> int:
    from e2email_client.console import say

    say(sentence, err=True)
    return code
