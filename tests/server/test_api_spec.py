"""docs/specs/account-api.md says what the code does: paths, codes, limits."""

import re
from pathlib import Path

from starlette.routing import Route

from e2email_protocol import account as messages
from e2email_server.api import app, directory, listen, records, reply, request, resource, wkd

SPEC = (Path(__file__).parents[2] / "docs" / "specs" / "account-api.md").read_text("utf-8")
SOURCES = "".join(
    Path(module.__file__).read_text("utf-8")
    for module in (app, directory, records, reply, request, resource, wkd)
)


class Nothing:
    """Stands for what building the routes does not touch."""


class Handlers:
    """Has every handler; none is called."""

    def __getattr__(self, name: str) -> str:
        return name


def test_every_path_and_method_is_specified() -> None:
    info = messages.ServerInfo("x", 1, b"p" * 32, (), messages.Ports(*[None] * 6))
    more = {
        **directory.resources(Handlers()),  # type: ignore[arg-type]
        **records.resources(Handlers()),  # type: ignore[arg-type]
        **wkd.resources(Handlers()),  # type: ignore[arg-type]
    }
    router = app.build(Nothing(), Nothing(), Nothing(), info, list, more)  # type: ignore[arg-type]
    rows = re.findall(r"^\| `(/[^`]*)` \| ([A-Z, ]+) \|", SPEC, re.MULTILINE)
    specified = {(path, method) for path, methods in rows for method in methods.split(", ")}
    built = {
        (route.path, method)
        for route in router.routes  # type: ignore[attr-defined]
        if isinstance(route, Route)
        for method in route.endpoint._handlers
        if method != "HEAD"
    }
    assert built == specified


def test_every_code_is_specified() -> None:
    used = set(re.findall(r'ApiError\(\s*(\d{3}), "([a-z-]+)"', SOURCES))
    used |= {("401", "login-refused"), ("422", "certificate-refused"), ("422", "statement-refused")}
    rows = re.findall(r"^\| (\d{3}) \| (`.*?`) \|", SPEC, re.MULTILINE)
    specified = {(status, code) for status, codes in rows for code in re.findall("`(.*?)`", codes)}
    assert used == specified


def test_limits_are_the_specified_ones() -> None:
    assert f"above {messages.REQUEST_CAP >> 20} MiB" in SPEC
    assert f"above {messages.STATE_REQUEST_CAP >> 20} MiB" in SPEC
    assert f"within {request.BODY_SECONDS:.0f} s" in SPEC
    assert f"up to {messages.STATEMENTS_PAGE} entries" in SPEC
    assert f"above {listen.HEADER_CAP >> 10} KiB" in SPEC
    assert f"more than {listen.CONNECTIONS_A_PEER}\nconnections" in SPEC
    assert f"and {listen.CONNECTIONS} in all" in SPEC
