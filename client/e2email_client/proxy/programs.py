"""Settings for particular mail programs, ready to be pasted.

docs/clients.md says which were tried; tests/system/test_snippets.py does it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from e2email_client.proxy.shown import Shown

# In place of a general password that was revoked.
PLACEHOLDER = "PASSWORD"


def _password(shown: Shown) -> str:
    return shown.password or PLACEHOLDER


def _quoted(text: object) -> str:
    """For programs that take a string in double quotes with backslashes."""
    escaped = str(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _percent(text: object) -> str:
    """For Python's configparser, which interpolates."""
    return str(text).replace("%", "%%")


def thunderbird(shown: Shown) -> str:
    return f"""\
New account, then configure manually:
  Incoming        IMAP, {shown.host}, port {shown.ports.imaps}, SSL/TLS, normal password
  User name       {shown.address}
  Password        {_password(shown)}
First import {shown.certificate}
under Settings, Privacy & Security, Certificates, View Certificates, Authorities,
and trust it for web sites. Its SHA-256 is
{shown.compared}"""


def mutt(shown: Shown) -> str:
    return f"""\
set folder = "imaps://{shown.host}:{shown.ports.imaps}/"
set spoolfile = "+INBOX"
set record = "+Sent"
set postponed = "+Drafts"
set trash = "+Trash"
set imap_user = {_quoted(shown.address)}
set imap_pass = {_quoted(_password(shown))}
set certificate_file = {_quoted(shown.certificate)}
set imap_idle = yes
set mail_check = 60"""


def mbsync(shown: Shown) -> str:
    return f"""\
IMAPStore e2email
Host {shown.host}
Port {shown.ports.imaps}
User {_quoted(shown.address)}
Pass {_quoted(_password(shown))}
SSLType IMAPS
CertificateFile {_quoted(shown.certificate)}

MaildirStore e2email-local
Path ~/mail/
Inbox ~/mail/INBOX
SubFolders Verbatim

Channel e2email
Far :e2email:
Near :e2email-local:
Patterns *
Create Both
Expunge Both
SyncState *
"""


def aerc(shown: Shown) -> str:
    user, password = quote(shown.address, safe=""), quote(_password(shown), safe="")
    return f"""\
# start it as  SSL_CERT_FILE={shown.certificate} aerc
[{shown.address}]
source = imaps://{user}:{password}@{shown.host}:{shown.ports.imaps}
from = <{shown.address}>
default = INBOX
copy-to = Sent
cache-headers = true"""


def offlineimap(shown: Shown) -> str:
    return f"""\
[general]
accounts = e2email

[Account e2email]
localrepository = e2email-local
remoterepository = e2email-remote

[Repository e2email-local]
type = Maildir
localfolders = ~/mail

[Repository e2email-remote]
type = IMAP
remotehost = {shown.host}
remoteport = {shown.ports.imaps}
remoteuser = {_percent(shown.address)}
remotepass = {_percent(_password(shown))}
ssl = yes
sslcacertfile = {_percent(shown.certificate)}"""


def fetchmail(shown: Shown) -> str:
    return f"""\
poll {shown.host} protocol imap port {shown.ports.imaps} auth password bad-header accept
  user {_quoted(shown.address)} password {_quoted(_password(shown))}
  keep
  ssl sslcertck sslcertfile {_quoted(shown.certificate)}"""


def getmail(shown: Shown) -> str:
    return f"""\
[retriever]
type = SimpleIMAPSSLRetriever
server = {shown.host}
port = {shown.ports.imaps}
username = {_percent(shown.address)}
password = {_percent(_password(shown))}
ca_certs = {_percent(shown.certificate)}

[destination]
type = Maildir
path = ~/mail/

[options]
read_all = false
delete = false"""


def mpop(shown: Shown) -> str:
    return f"""\
account e2email
host {shown.host}
port {shown.ports.pop3s}
tls on
tls_starttls off
tls_trust_file {_quoted(shown.certificate)}
auth user
user {_quoted(shown.address)}
password {_quoted(_password(shown))}
keep on
delivery maildir ~/mail"""


def alpine(shown: Shown) -> str:
    return f"""\
# start it as  SSL_CERT_FILE={shown.certificate} alpine
inbox-path={{{shown.host}:{shown.ports.imaps}/ssl/user={_quoted(shown.address)}}}INBOX
folder-collections=e2email {{{shown.host}:{shown.ports.imaps}/ssl/user={_quoted(shown.address)}}}[]
# it asks for the password, which is
#   {_password(shown)}"""


def imapfilter(shown: Shown) -> str:
    return f"""\
-- start it as  imapfilter -t {shown.certificate}
e2email = IMAP {{
  server = "{shown.host}",
  port = {shown.ports.imaps},
  ssl = "auto",
  username = {_quoted(shown.address)},
  password = {_quoted(_password(shown))},
}}"""


def curl(shown: Shown) -> str:
    return (
        f"curl --cacert {_quoted(shown.certificate)} "
        f"--user {_quoted(shown.address + ':' + _password(shown))} "
        f"{_quoted(f'imaps://{shown.host}:{shown.ports.imaps}/INBOX;UID=1')}"
    )


PROGRAMS: dict[str, Callable[[Shown], str]] = {
    "aerc": aerc,
    "alpine": alpine,
    "curl": curl,
    "fetchmail": fetchmail,
    "getmail": getmail,
    "imapfilter": imapfilter,
    "mbsync": mbsync,
    "mpop": mpop,
    "mutt": mutt,
    "neomutt": mutt,
    "offlineimap": offlineimap,
    "thunderbird": thunderbird,
}
