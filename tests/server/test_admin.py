"""The admin socket: one line each way, whatever comes in."""

import asyncio
import json
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from e2email_server.admin import AdminError, NotRunning, ask, start_admin
from e2email_server.store.errors import AlreadyExists


async def greet(question: Mapping[str, Any]) -> dict[str, Any]:
    return {"greeting": f"hello {question['name']}"}


async def refuse(_question: Mapping[str, Any]) -> dict[str, Any]:
    raise AlreadyExists("an account with that address exists")


async def break_down(_question: Mapping[str, Any]) -> dict[str, Any]:
    raise ZeroDivisionError("secret")


COMMANDS = {"greet": greet, "refuse": refuse, "break": break_down}


async def test_a_question_is_answered(tmp_path: Path) -> None:
    server = await start_admin(tmp_path, COMMANDS)
    answer = await asyncio.to_thread(lambda: ask(tmp_path, "greet", name="operator"))
    assert answer == {"greeting": "hello operator"}
    assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600
    await server.stop()
    assert not (tmp_path / "admin.sock").exists()
    with pytest.raises(NotRunning):
        ask(tmp_path, "greet", name="nobody")


async def test_a_refusal_keeps_its_sentence(tmp_path: Path) -> None:
    server = await start_admin(tmp_path, COMMANDS)
    with pytest.raises(AdminError, match=r"^an account with that address exists$"):
        await asyncio.to_thread(ask, tmp_path, "refuse")
    with pytest.raises(AdminError, match="no such command"):
        await asyncio.to_thread(ask, tmp_path, "other")
    await server.stop()


async def test_a_bug_is_logged_and_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = await start_admin(tmp_path, COMMANDS)
    with caplog.at_level(logging.ERROR), pytest.raises(AdminError) as caught:
        await asyncio.to_thread(ask, tmp_path, "break")
    assert "ZeroDivisionError" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caplog.records
    await server.stop()


@pytest.mark.parametrize(
    "line", [b"\n", b"{}\n", b"[]\n", b'{"command": []}\n', b"\xff\n", b"x" * 100_000 + b"\n", b""]
)
async def test_what_is_no_question_disturbs_nobody(tmp_path: Path, line: bytes) -> None:
    server = await start_admin(tmp_path, COMMANDS)

    def send() -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(tmp_path / "admin.sock"))
            connection.sendall(line)
            connection.shutdown(socket.SHUT_WR)
            try:
                return connection.recv(1000)
            except ConnectionResetError:
                return b""

    answer = await asyncio.to_thread(send)
    assert answer == b"" or json.loads(answer) == {"error": "no such command"}
    assert await asyncio.to_thread(lambda: ask(tmp_path, "greet", name="x"))
    await server.stop()


async def test_a_socket_left_by_a_killed_server_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(tmp_path / "admin.sock"))
    with pytest.raises(NotRunning):
        ask(tmp_path, "greet", name="x")
    server = await start_admin(tmp_path, COMMANDS)
    assert await asyncio.to_thread(lambda: ask(tmp_path, "greet", name="x"))
    await server.stop()
