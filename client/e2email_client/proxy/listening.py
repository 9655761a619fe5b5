"""The proxy's sockets: every face on every address, on the same port, or none at all."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import replace

from e2email_client.failure import LocalFault
from e2email_client.proxy.config import LISTENERS, Config
from e2email_client.proxy.ports import Ports, holder
from e2email_protocol.engine import Engine
from e2email_protocol.serve import Face, Limits, Listener, listen

# A port that is free on one address may be taken on the next: then another is tried.
TRIES = 20
# A machine without IPv6 has no ::1; nobody asked for it by name.
_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Listeners:
    """Those that are open. `ports` says where; a context manager's end is `close`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        # programs of one user: all come from one address
        self._limits = Limits(connections=config.connections, per_address=config.connections)
        self._open: list[Listener] = []
        self.ports = Ports(None, None, None, None)

    async def start(self, faces: Mapping[str, Face]) -> None:
        """LocalFault where a port is taken; what is open by then `close` closes."""
        for name in LISTENERS:
            wanted = getattr(self._config.ports, name)
            if wanted is not None:
                port = await self._everywhere(faces[name], wanted)
                self.ports = replace(self.ports, **{name: port})

    async def close(self, grace: float) -> None:
        for one in self._open:
            await one.close(grace)

    def dismiss(self, unwanted: Callable[[Engine], bool], reason: bytes) -> None:
        """Hang up on those."""
        for one in self._open:
            one.dismiss(unwanted, reason)

    async def _everywhere(self, face: Face, port: int) -> int:
        for left in reversed(range(TRIES if port == 0 else 1)):
            try:
                return await self._once(face, port)
            except _Taken:
                if not left:
                    raise
        raise AssertionError("the last try raises")

    async def _once(self, face: Face, port: int) -> int:
        made: list[Listener] = []
        try:
            for address in self._config.addresses:
                try:
                    one = await listen(face, address, port, self._limits)
                except OSError as fault:
                    if self._config.bind is None and fault.errno in _NO_SUCH_ADDRESS:
                        continue
                    raise _fault(address, port, fault) from fault
                made.append(one)
                port = one.port
        except BaseException:
            for one in made:
                await one.close(0)
            raise
        self._open += made
        if not made:
            raise LocalFault("This machine has no loopback address to listen on.")
        return port


class _Taken(LocalFault):
    """Somebody has the port."""


def _fault(address: str, port: int, fault: OSError) -> LocalFault:
    if fault.errno == errno.EADDRINUSE:
        return _Taken(
            f"Port {port} cannot be used: {holder(port)}. "
            "Free it, or let free ports be found with --ports auto."
        )
    cause = fault.strerror or type(fault).__name__
    return LocalFault(f"Nothing can listen on {address}, port {port}: {cause}.")
