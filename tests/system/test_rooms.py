"""Each program loads only what its room may touch: looked at in a process of its own."""

import subprocess
import sys

import pytest

# what `e2email-server` needs to run, imported the way it imports it
SERVER = ["e2email_server.main", "e2email_server.run"]
CLIENT = ["e2email_client.main", "e2email_client.proxy_main"]


def loaded(modules: list[str]) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_the_server_cannot_open_anything() -> None:
    seen = loaded(SERVER)
    assert "e2email_crypto.seal" in seen
    for name in ("open", "worker", "verify", "vault", "slot", "keyedit", "_pgpy"):
        assert f"e2email_crypto.{name}" not in seen
    assert not {name for name in seen if name.split(".")[0] in {"pgpy", "e2email_client"}}


def test_the_client_never_loads_the_server() -> None:
    seen = loaded(CLIENT)
    assert not {name for name in seen if name.split(".")[0] in {"e2email_server", "aiosmtpd"}}


@pytest.mark.parametrize("program", ["e2email_client.main", "e2email_server.main"])
def test_a_command_line_starts_without_the_heavy_libraries(program: str) -> None:
    heavy = {"pgpy", "textual", "sqlalchemy", "keyring", "uvicorn", "cryptography"}
    assert not heavy & {name.split(".")[0] for name in loaded([program])}


@pytest.mark.parametrize("package", ["e2email_server", "e2email_client", "e2email_client.proxy"])
def test_each_program_also_runs_as_a_module(package: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", package, "--version"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "e2email" in result.stdout
