"""Settings for mail programs, in Mozilla's autoconfig format (config-v1.1.xml).

An account's mail is read through the proxy on the user's own machine, or, where the account says
so, from this server, as ciphertext for programs that open OpenPGP themselves.
"""

from collections.abc import Collection
from typing import Final
from xml.sax.saxutils import escape

from starlette.responses import Response

from e2email_protocol.account import ServerInfo

# Where e2email-proxy listens unless told otherwise.
_PROXY: Final = "localhost"
# The answer is for one address, and its owner may choose otherwise tomorrow.
HEADERS: Final = {
    "Cache-Control": "private, max-age=3600",
    "X-Content-Type-Options": "nosniff",
}


def of_proxy(info: ServerInfo, domains: Collection[str]) -> Response:
    """Everything on the user's machine.

    Thunderbird refuses a file without an outgoing server as a whole, so the proxy's is named
    although it takes no mail yet (Thunderbird 153, readFromXML.sys.mjs).
    """
    servers = [
        _server("incomingServer", "imap", _PROXY, 1993, "SSL"),
        _server("incomingServer", "imap", _PROXY, 1143, "STARTTLS"),
        _server("incomingServer", "pop3", _PROXY, 1995, "SSL"),
        _server("incomingServer", "pop3", _PROXY, 1110, "STARTTLS"),
        _server("outgoingServer", "smtp", _PROXY, 1465, "SSL"),
    ]
    return _response(info, domains, servers)


def of_server(info: ServerInfo, domains: Collection[str]) -> Response:
    """What this server itself offers. Mail read this way is ciphertext: OpenPGP programs only."""
    ports = info.ports
    outgoing = [
        _server("outgoingServer", "smtp", info.name, ports.submissions, "SSL"),
        _server("outgoingServer", "smtp", info.name, ports.submission, "STARTTLS"),
    ]
    servers = [
        _server("incomingServer", "imap", info.name, ports.imaps, "SSL"),
        _server("incomingServer", "imap", info.name, ports.imap, "STARTTLS"),
        _server("incomingServer", "pop3", info.name, ports.pop3s, "SSL"),
        _server("incomingServer", "pop3", info.name, ports.pop3, "STARTTLS"),
        # as above: named where it will be
        *(
            outgoing
            if any(outgoing)
            else [_server("outgoingServer", "smtp", info.name, 465, "SSL")]
        ),
    ]
    return _response(info, domains, servers)


def _response(info: ServerInfo, domains: Collection[str], servers: Collection[str]) -> Response:
    names = "".join(f"    <domain>{escape(one)}</domain>\n" for one in sorted(domains))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<clientConfig version="1.1">\n'
        f"  <emailProvider id={_attribute(info.name)}>\n"
        f"{names}"
        f"    <displayName>{escape(info.name)}</displayName>\n"
        f"    <displayShortName>{escape(info.name)}</displayShortName>\n"
        f"{''.join(servers)}"
        "  </emailProvider>\n"
        "</clientConfig>\n"
    )
    return Response(text, headers=dict(HEADERS), media_type="text/xml")


def _attribute(text: str) -> str:
    return '"' + escape(text, {'"': "&quot;"}) + '"'


def _server(element: str, kind: str, host: str, port: int | None, socket: str) -> str:
    if port is None:
        return ""
    return (
        f'    <{element} type="{kind}">\n'
        f"      <hostname>{escape(host)}</hostname>\n"
        f"      <port>{port}</port>\n"
        f"      <socketType>{socket}</socketType>\n"
        "      <username>%EMAILADDRESS%</username>\n"
        "      <authentication>password-cleartext</authentication>\n"
        f"    </{element}>\n"
    )
