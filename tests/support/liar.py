"""A server that misbehaves: it has the true one's certificate and key, and changes its answers."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.system import Server

# (method and path, the true answer) → the answer that is given
Lie = Callable[[str, Any], Any]
# method and path → what is answered in place of asking the true one
Instead = Callable[[str], tuple[int, bytes] | None]


def ask(_: str) -> None:
    return None


def truth(_: str, answer: Any) -> Any:
    return answer


class Liar:
    """HTTPS in front of a server. `lie` and `instead` may be exchanged at any time; `asked` are the
    requests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.lie: Lie = truth
        self.instead: Instead = ask
        self.asked: list[str] = []
        self._listener = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls = server.data / "tls"
        context.load_cert_chain(tls / "server.crt", tls / "server.key")
        self._listener.socket = context.wrap_socket(self._listener.socket, server_side=True)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self._listener.server_port}"

    def close(self) -> None:
        self._listener.shutdown()
        self._thread.join()
        self._listener.server_close()

    def exchange(self, what: str, headers: Any, body: bytes | None) -> tuple[int, bytes]:
        if (given := self.instead(what)) is not None:
            self.asked.append(what)
            return given
        method, path = what.split(" ")
        context = ssl.create_default_context(cafile=str(self._server.ca))
        true = http.client.HTTPSConnection(
            "localhost", self._server.port("https"), timeout=60, context=context
        )
        try:
            true.request(method, path, body, headers)
            answer = true.getresponse()
            octets = answer.read()
        finally:
            true.close()
        self.asked.append(what)
        if answer.status >= 400:
            return answer.status, octets
        return answer.status, json.dumps(self.lie(what, json.loads(octets))).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        liar = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length", "0"))
                headers = {
                    name: value
                    for name, value in self.headers.items()
                    if name.lower() in {"authorization", "content-type"}
                }
                what = f"{self.command} {self.path}"
                status, octets = liar.exchange(what, headers, self.rfile.read(size) or None)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(octets)))
                self.end_headers()
                self.wfile.write(octets)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@contextmanager
def lying(server: Server) -> Iterator[Liar]:
    made = Liar(server)
    try:
        yield made
    finally:
        made.close()
