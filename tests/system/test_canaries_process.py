"""The running programs as the system sees them: limits, rights of files, arguments, environment."""

import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2email_server.hardening import DESCRIPTORS
from support import processes
from support.ledger import LARGE, Ledger
from support.system import DOMAIN, Proxy, Server, User, eventually

NINA = f"nina@{DOMAIN}"


@pytest.fixture(scope="module")
def nina(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """Started by a careless shell: everything allowed, a umask of 0, core files unlimited."""
    folder = tmp_path_factory.mktemp("careless")
    server = Server(folder / "server")
    server.start(umask=0)
    user = server.user(NINA, folder / "nina")
    ledger = Ledger()
    with server.smtp() as client:
        for size in (100, LARGE):
            assert ledger.send(client, ledger.mail(size), NINA).startswith("250")
    yield user
    server.stop()


@pytest.fixture(scope="module")
def proxy(nina: User) -> Iterator[Proxy]:
    with nina.proxy() as running, running.imap() as client:
        assert client.fetch("1", "(BODY.PEEK[])")[0] == "OK"
        yield running


def programs(nina: User, proxy: Proxy) -> dict[str, int]:
    """Name → process id, the workers included."""
    server = nina.server.pid
    found = {"server": server, "proxy": proxy.pid}
    workers = eventually(lambda: processes.children(server), 20)
    found |= {f"sealing worker {one}": one for one in workers}
    return found | {f"opening worker {one}": one for one in processes.children(proxy.pid)}


def test_there_are_workers_to_look_at(nina: User, proxy: Proxy) -> None:
    kinds = {name.partition(" ")[0] for name in programs(nina, proxy)}
    assert kinds == {"server", "proxy", "sealing", "opening"}


def test_no_core_files(nina: User, proxy: Proxy) -> None:
    for name, pid in programs(nina, proxy).items():
        assert processes.limit(pid, resource.RLIMIT_CORE) == (0, 0), name


def test_no_secret_in_arguments_or_environment(nina: User, proxy: Proxy) -> None:
    secrets = [nina.passphrase, proxy.password, nina.unlocked().device_token]
    for name, pid in programs(nina, proxy).items():
        for what in ("cmdline", "environ"):
            octets = Path(f"/proc/{pid}/{what}").read_bytes()
            assert not [one for one in secrets if one.encode() in octets], (name, what)


def test_a_worker_inherits_nothing(nina: User, proxy: Proxy) -> None:
    """No environment, no descriptor of the database, the mail or a connection."""
    for name, pid in programs(nina, proxy).items():
        if "worker" in name:
            links = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()]
            assert not [one for one in links if "mail.db" in one or ".db" in one], name
            assert len([one for one in links if one.startswith("socket:")]) <= 1, (name, links)


def test_files_are_the_owners_alone(nina: User, proxy: Proxy) -> None:
    """Whatever the umask that was inherited; the harness's own log is left out."""
    for root in (nina.server.data, nina.folder):
        for path in (root, *root.rglob("*")):
            mode = path.lstat().st_mode
            assert stat.S_IMODE(mode) & 0o077 == 0, path


def test_there_are_descriptors_for_all_connections(nina: User) -> None:
    soft, hard = processes.limit(nina.server.pid, resource.RLIMIT_NOFILE)
    assert soft == hard or soft >= DESCRIPTORS
