"""e2email-server to be measured: users registered in its store, then started as anybody would."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from e2email_crypto import token as tokens
from e2email_crypto.cert import SubkeyState, inspect_cert
from e2email_crypto.keyedit import new_identity, sign_detached
from e2email_crypto.statement import Certificate as Stated
from e2email_crypto.statement import Policy, Statement, sign_entry
from e2email_protocol.sealed.record import Policy as RecordPolicy
from e2email_server import config
from e2email_server.parts import Parts, open_parts
from e2email_server.store.types import Certificate, Kdf, NewAccount, NewToken
from e2email_server.store.types import Statement as StoredStatement

_SERVER = [sys.executable, "-m", "e2email_server"]
PASSWORD = "e2a_" + "a" * 32  # of every user; an app password of a server that lives a minute
SCOPES = frozenset({"read", "write", "delete", "send"})


def _account(address: str) -> NewAccount:
    now = int(time.time())
    identity = new_identity(address, "", now)
    subkeys = tuple(
        one.fingerprint
        for one in inspect_cert(identity.cert, now).subkeys
        if one.state is SubkeyState.USABLE
    )
    stated = Statement(1, (address,), (Stated(identity.fingerprint, subkeys),), Policy.SEALED, now)
    entry = sign_entry(stated, identity.fingerprint, lambda data: sign_detached(identity.tsk, data))
    return NewAccount(
        address,
        RecordPolicy.SEALED,
        Kdf(3, 65536, bytes(16)),
        "no login by passphrase",
        (Certificate(identity.fingerprint, identity.cert),),
        StoredStatement(1, entry.encode()),
    )


async def _register(settings: config.Config, users: int) -> None:
    async with AsyncExitStack() as stack:
        parts: Parts = await open_parts(settings, stack)
        for number in range(users):
            account = await parts.store.register(_account(f"u{number}@bench.test"), None)
            digest = tokens.token_hash(f"{PASSWORD}{number:02}", parts.keys.token)
            await parts.store.add_token(
                NewToken(account.account_id, "app", "bench", SCOPES, digest)
            )


@contextmanager
def running(home: Path, users: int) -> Iterator[tuple[int, dict[str, int]]]:
    """(process id, ports by protocol); user N's password is PASSWORD and N in two digits."""
    subprocess.run(
        [
            *(*_SERVER, "init", "--dir", str(home), "--loopback"),
            *("--domain", "bench.test", "--hostname", "localhost"),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    asyncio.run(_register(config.load(home / "server.toml"), users))
    ports = home / "ports.json"
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*_SERVER, "run", "-c", str(home / "server.toml"), "--ports-file", str(ports)],
            stderr=log,
        )
    try:
        while not ports.exists():
            if process.poll() is not None:
                raise SystemExit((home / "server.log").read_text())
            time.sleep(0.05)
        found = json.loads(ports.read_text())
        yield process.pid, {name: where[0][1] for name, where in found.items()}
    finally:
        process.terminate()
        process.wait(30)
