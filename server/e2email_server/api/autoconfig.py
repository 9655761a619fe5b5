"""Settings for mail programs, in Mozilla's autoconfig format (config-v1.1.xml)."""

from collections.abc import Collection
from xml.sax.saxutils import escape

from starlette.responses import Response

from e2email_protocol.account import ServerInfo


def autoconfig(info: ServerInfo, domains: Collection[str]) -> Response:
    """What this server itself offers. Mail read this way is ciphertext: OpenPGP programs only."""
    ports = info.ports
    servers = [
        _server("incomingServer", "imap", info.name, ports.imaps, "SSL"),
        _server("incomingServer", "imap", info.name, ports.imap, "STARTTLS"),
        _server("incomingServer", "pop3", info.name, ports.pop3s, "SSL"),
        _server("incomingServer", "pop3", info.name, ports.pop3, "STARTTLS"),
        _server("outgoingServer", "smtp", info.name, ports.submissions, "SSL"),
        _server("outgoingServer", "smtp", info.name, ports.submission, "STARTTLS"),
    ]
    names = "".join(f"    <domain>{escape(one)}</domain>\n" for one in sorted(domains))
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<clientConfig version="1.1">\n'
        f'  <emailProvider id="{escape(info.name)}">\n'
        f"{names}"
        f"    <displayName>{escape(info.name)}</displayName>\n"
        f"    <displayShortName>{escape(info.name)}</displayShortName>\n"
        f"{''.join(servers)}"
        "  </emailProvider>\n"
        "</clientConfig>\n"
    )
    return Response(text, media_type="text/xml")


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
