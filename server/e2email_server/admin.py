"""The Unix socket between the command line and the running server: one question, one answer.

A line of JSON each way. Whoever may open the socket (mode 0600, in a directory of mode 0700) is
the operator. With one writing process, this is how other processes change something.
"""

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from e2email_server.store.errors import StoreError

log = logging.getLogger(__name__)

SOCKET = "admin.sock"
MAX_LINE = 64 * 1024
SECONDS = 30.0  # for one question and its answer
_MAX_PATH = 100  # sun_path has 104 octets on macOS, 108 on Linux

Answer = dict[str, Any]
Command = Callable[[Mapping[str, Any]], Awaitable[Answer]]


class AdminError(Exception):
    """What the server answered instead of a result: one sentence."""


class NotRunning(Exception):
    """Nobody listens on the socket."""


class AdminServer:
    """Serves `commands` by name until `stop`."""

    def __init__(self, server: asyncio.Server, path: Path) -> None:
        self._server, self._path = server, path

    async def stop(self) -> None:
        self._server.close()
        with suppress(FileNotFoundError):
            self._path.unlink()


async def start_admin(data: Path, commands: Mapping[str, Command]) -> AdminServer:
    """Listen in the data directory, whose lock the caller holds."""
    path = data / SOCKET
    with suppress(FileNotFoundError):
        path.unlink()  # left by a server that was killed; ours is the lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _short(path) as name:
        listener.bind(name)
    path.chmod(0o600)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(SECONDS):
                line = await reader.readline()
                writer.write(json.dumps(await _answer(line, commands)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, TimeoutError, ValueError) as error:  # ValueError: above MAX_LINE
            log.info("admin question not answered: %s", type(error).__name__)
        finally:
            writer.close()

    return AdminServer(await asyncio.start_unix_server(serve, sock=listener, limit=MAX_LINE), path)


async def _answer(line: bytes, commands: Mapping[str, Command]) -> Answer:
    try:
        question = json.loads(line)
        command = commands[question["command"]]
    except (ValueError, KeyError, TypeError):
        return {"error": "no such command"}
    try:
        return await command(question)
    except (AdminError, StoreError) as error:
        return {"error": str(error)}
    except Exception as error:
        log.exception("admin command failed")
        return {"error": f"failed ({type(error).__name__}), see the server's log"}


def ask(data: Path, command: str, **arguments: str | bool) -> Answer:
    """The running server's answer. Raises NotRunning, AdminError."""
    path = data / SOCKET
    try:
        answer = _exchange(path, {"command": command, **arguments})
    except (FileNotFoundError, ConnectionRefusedError):
        raise NotRunning from None
    except OSError as error:
        reason = error.strerror or "the running server does not answer"
        raise AdminError(f"{path}: {reason}") from None
    if "error" in answer:
        raise AdminError(answer["error"])
    return answer


def _exchange(path: Path, question: Answer) -> Answer:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        with _short(path) as name:
            connection.connect(name)
        connection.sendall(json.dumps(question).encode() + b"\n")
        with connection.makefile("rb") as file:
            return dict(json.loads(file.readline() or b'{"error": "the server hung up"}'))


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for the socket that fits where the path does not."""
    if len(os.fsencode(path)) <= _MAX_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
