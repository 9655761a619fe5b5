"""Keys from files and from web key directories on loopback, honest ones and others."""

import base64
import socket
import ssl
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import trustme

from e2email_client import wkd
from e2email_client.certificate_files import FILE_MAX, certificates_in, read_key_file
from e2email_client.contact import Source
from e2email_client.contact_rules import Seen
from e2email_client.contacts import Contacts
from e2email_client.failure import BadServer, LocalFault, Offline
from e2email_client.finding import Finder
from e2email_client.local.cache import open_state
from e2email_client.local.learned import Learned
from e2email_client.shared_state import SharedState
from e2email_client.wkd import ANSWER_MAX, NoHost, Wkd, local_hash, urls
from support.foreign_keys import BOB, foreign
from support.gpg import keyring

NOW = int(time.time())
ADVANCED, DIRECT = "openpgpkey.example.net", "example.net"


def armored(octets, kind="PUBLIC KEY BLOCK"):
    text = base64.encodebytes(octets).decode()
    return f"-----BEGIN PGP {kind}-----\n\n{text}-----END PGP {kind}-----\n".encode()


@pytest.mark.parametrize(
    "octets",
    [
        foreign().cert + foreign(number=2).cert,
        armored(foreign().cert + foreign(number=2).cert),
        b"Hello,\n\n" + armored(foreign().cert) + b"\nand\n" + armored(foreign(number=2).cert),
        (armored(foreign().cert) + armored(foreign(number=2).cert)).replace(b"\n", b"\r\n"),
    ],
    ids=["binary", "one block", "two blocks in a text", "CRLF"],
)
def test_all_certificates_of_a_file_are_found(octets):
    assert certificates_in(octets) == [foreign().cert, foreign(number=2).cert]


@pytest.mark.parametrize("octets", [b"", b"no key", armored(b"\xff"), b"-----BEGIN PGP PUBLIC KEY"])
def test_what_is_no_key_is_handed_on_to_be_judged(octets):
    assert len(certificates_in(octets)) == 1


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(LocalFault, match="cannot be read"):
        read_key_file(tmp_path / "none")
    large = tmp_path / "large"
    large.write_bytes(b"x" * (FILE_MAX + 1))
    with pytest.raises(LocalFault, match="too large"):
        read_key_file(large)


# web key directories


def test_the_hash_of_the_drafts_example():
    assert local_hash("Joe.Doe") == local_hash("joe.doe") == "iy9q119eutrkn8s1mk4r39qejnbu3n5q"
    advanced, direct = urls("Joe.Doe@Example.ORG")
    assert advanced == (
        "https://openpgpkey.example.org/.well-known/openpgpkey/example.org/hu/"
        "iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe"
    )
    assert direct == (
        "https://example.org/.well-known/openpgpkey/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe"
    )


class Web:
    """HTTPS on loopback. `pages`: host → what it answers: octets, a status, or where to go."""

    def __init__(self):
        self.authority = trustme.CA()
        self.pages = {}
        self.asked = []
        self.names = [ADVANCED, DIRECT, "elsewhere.example", "www.example.net"]

    @contextmanager
    def running(self):
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                host = self.headers["Host"].partition(":")[0]
                web.asked.append((host, self.path))
                page = web.pages.get(host, 404)
                status = page if isinstance(page, int) else 302 if isinstance(page, str) else 200
                self.send_response(status)
                if isinstance(page, str):
                    self.send_header("Location", page)
                self.end_headers()
                if isinstance(page, bytes):
                    self.wfile.write(page)

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(*self.names).configure_cert(context)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def dial(self, host, port):
        assert port == 443
        if host not in self.pages:
            raise NoHost
        return socket.create_connection(("127.0.0.1", self.port), 10)

    @property
    def client(self):
        context = ssl.create_default_context(cadata=self.authority.cert_pem.bytes().decode())
        return Wkd(context, self.dial)


@pytest.fixture
def web():
    made = Web()
    with made.running():
        yield made


def test_the_advanced_method_comes_first(web):
    web.pages = {ADVANCED: b"advanced", DIRECT: b"direct"}
    assert web.client.look_up(BOB) == b"advanced"
    ((host, path),) = web.asked
    assert f"https://{host}{path}" == urls(BOB)[0]


def test_the_direct_one_only_where_that_host_does_not_exist(web):
    web.pages = {DIRECT: b"direct"}
    assert web.client.look_up(BOB) == b"direct"
    web.pages = {ADVANCED: 404, DIRECT: b"direct"}
    assert web.client.look_up(BOB) is None
    web.pages = {}
    assert web.client.look_up(BOB) is None


@pytest.mark.parametrize(
    ("target", "goes"),
    [
        ("https://www.example.net/key", True),
        ("https://example.net:443/key", True),
        ("https://elsewhere.example/key", False),
        ("https://notexample.net/key", False),
        ("http://www.example.net/key", False),
        ("https://www.example.net:8443/key", False),
        ("https://x@www.example.net/key", False),
        ("https://[", False),
        ("https://www.example.net:x/", False),
    ],
)
def test_a_redirect_stays_with_the_domain(web, target, goes):
    web.pages = {
        ADVANCED: target, "www.example.net": b"key", DIRECT: b"key", "elsewhere.example": b"evil",
    }  # fmt: skip
    if goes:
        assert web.client.look_up(BOB) == b"key"
    else:
        with pytest.raises(BadServer, match="redirects"):
            web.client.look_up(BOB)
        assert len(web.asked) == 1


def test_redirects_end(web):
    web.pages = {ADVANCED: "/again"}
    with pytest.raises(BadServer, match="too often"):
        web.client.look_up(BOB)
    assert len(web.asked) == wkd.REDIRECTS_MAX + 1


def test_more_than_a_key_can_be_is_refused(web):
    web.pages = {ADVANCED: b"x" * (ANSWER_MAX + 1)}
    with pytest.raises(BadServer, match="more than"):
        web.client.look_up(BOB)


def test_another_status_is_not_an_absence(web):
    web.pages = {ADVANCED: 500}
    with pytest.raises(Offline, match="500"):
        web.client.look_up(BOB)


def test_a_host_under_another_name_or_authority_is_not_trusted(web):
    web.pages = {ADVANCED: b"key"}
    stranger = Wkd(ssl.create_default_context(), web.dial)
    with pytest.raises(BadServer, match="not trusted"):
        stranger.look_up(BOB)
    web.pages = {"openpgpkey.example.org": b"key"}
    with pytest.raises(BadServer, match="not trusted"):
        web.client.look_up("bob@example.org")


def test_one_that_does_not_answer_is_given_up(web, monkeypatch):
    web.pages = {ADVANCED: b"key"}
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(wkd, "WHOLE_SECONDS", 0.2)
    monkeypatch.setattr(wkd, "STEP_SECONDS", 0.2)
    client = Wkd(
        web.client.context,
        lambda *_: socket.create_connection(silent.getsockname(), 10),
    )
    with pytest.raises(Offline, match="does not answer"):
        client.look_up(BOB)
    silent.close()


# into the contacts


def test_an_expired_key_is_named_and_replaces_nothing(finder):
    with keyring() as gpg:
        past = ("--faked-system-time", "20240101T000000")
        gpg.ok(*past, "--quick-generate-key", BOB, "rsa2048", "cert", "1y")
        name = gpg.ok("--with-colons", "--list-keys", BOB).decode().split("fpr:::::::::")[1][:40]
        gpg.ok(*past, "--quick-add-key", name, "rsa2048", "encr", "1y")
        expired = gpg.ok("--export", BOB)
    finder.in_octets(BOB, foreign().cert, Source.FILE, NOW)
    (outcome,) = finder.in_octets(BOB, expired, Source.FILE, NOW).outcomes
    assert (outcome.seen, outcome.said) == (Seen.REFUSED, "has expired")
    (usable,) = finder.contacts.usable_key(BOB, NOW)
    assert usable.fingerprint == foreign().fingerprint


@pytest.fixture
def finder(tmp_path, web):
    state = open_state(tmp_path / "state.db", bytes(32))
    contacts = Contacts(SharedState(None, state), Learned(state), {"alice@example.test"})  # type: ignore[arg-type]
    yield Finder(contacts, None, None, web.client)  # type: ignore[arg-type]
    state.close()


def test_of_a_file_only_the_keys_of_the_address_count(finder):
    octets = foreign("carol@example.net").cert + foreign().cert
    found = finder.in_octets(BOB, octets, Source.FILE, NOW)
    assert [one.seen for one in found.outcomes] == [Seen.REFUSED, Seen.PINNED]
    assert [one.seen for one in found.telling] == [Seen.PINNED]
    found = finder.in_octets("dave@example.net", octets, Source.FILE, NOW)
    assert ["another address" in one.said for one in found.telling] == [True]


def test_a_key_swapped_in_wkd_is_a_changed_key(finder, web):
    web.pages = {ADVANCED: foreign().cert}
    assert finder.in_wkd(BOB, NOW).outcomes[0].seen is Seen.PINNED
    web.pages = {ADVANCED: foreign(number=2).cert}
    assert finder.in_wkd(BOB, NOW).outcomes[0].seen is Seen.CHANGED
    web.pages = {ADVANCED: foreign("carol@example.net").cert}
    assert finder.in_wkd(BOB, NOW).outcomes[0].seen is Seen.REFUSED
    web.pages = {}
    assert finder.in_wkd(BOB, NOW) is None
    assert finder.contacts.must(BOB).pinned == (foreign().fingerprint,)


def test_nobody_is_asked_for_ones_own_key(finder, web):
    with pytest.raises(LocalFault, match="your own"):
        finder.in_wkd("alice@example.test", NOW)
    assert web.asked == []


def test_keys_that_gpg_made_come_from_a_file_and_grow(finder):
    def exported(*more):
        octets = gpg.ok(*more, "--export", BOB)
        return finder.in_octets(BOB, octets, Source.FILE, int(time.time())).outcomes[0]

    with keyring() as gpg:
        gpg.ok("--quick-generate-key", f"Bob <{BOB}>", "rsa2048", "cert", "never")
        bare = exported("--armor")
        assert (bare.seen, "cannot encrypt" in bare.said) == (Seen.REFUSED, True)
        gpg.ok("--quick-add-key", bare.fingerprint, "cv25519", "encr", "1y")
        assert exported("--armor").seen is Seen.PINNED
        gpg.ok("--quick-set-expire", bare.fingerprint, "2y")
        assert exported().seen is Seen.UPDATED
        assert exported().seen is Seen.KNOWN
        (usable,) = finder.contacts.usable_key(BOB, int(time.time()))
        assert usable.fingerprint == bare.fingerprint
