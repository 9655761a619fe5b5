"""The peer: Debian's Dovecot over LMTP, plain or with mail-crypt (a key pair per user).

Needs root: Dovecot drops privileges itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ports import free_ports, wait_for_port

_CONFIG = """
protocols = imap lmtp
base_dir = {home}/run
state_dir = {home}/state
log_path = {home}/log
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
default_vsz_limit = 2G
default_client_limit = 4000
mail_fsync = optimized
first_valid_uid = 1
mail_location = maildir:~/Mail
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = static
  args = password=pw userdb_mail_crypt_private_password=pw
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={home}/mail/%n allow_all_users=yes
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service lmtp {{
  process_min_avail = 4
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
service stats {{
  unix_listener stats-writer {{
    mode = 0666
  }}
}}
"""
_CRYPT = """
mail_plugins = $mail_plugins mail_crypt
mail_attribute_dict = file:%h/dovecot-attributes
plugin {
  mail_crypt_curve = prime256v1
  mail_crypt_save_version = 2
  mail_crypt_require_encrypted_user_key = yes
}
"""


def missing() -> str | None:
    """Why it cannot be measured here, or None."""
    if os.geteuid() != 0:
        return "not root"
    if not shutil.which("dovecot"):
        return "dovecot is not installed (apt install dovecot-imapd dovecot-lmtpd)"
    return None


@contextmanager
def running(home: Path, users: int, *, crypt: bool) -> Iterator[tuple[int, int, int]]:
    """(process id, LMTP port, IMAP port) of a fresh Dovecot; password `pw` for every user."""
    lmtp, imap = free_ports(2)
    for folder in ("run", "state", "mail"):
        (home / folder).mkdir(parents=True)
    shutil.chown(home / "mail", "nobody", "nogroup")
    # the server's own users must be able to reach their mail
    for parent in (home, *home.parents[:-1]):
        if parent.owner() == "root" and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o055)
    config = home / "dovecot.conf"
    config.write_text(_CONFIG.format(home=home, imap=imap, lmtp=lmtp) + (_CRYPT if crypt else ""))
    process = subprocess.Popen(["dovecot", "-F", "-c", str(config)])
    try:
        wait_for_port(lmtp)
        for name in [f"u{n}" for n in range(users)] if crypt else []:
            (home / "mail" / name).mkdir()
            shutil.chown(home / "mail" / name, "nobody", "nogroup")
            subprocess.run(
                [
                    *("doveadm", "-c", str(config), "-o", "plugin/mail_crypt_private_password=pw"),
                    *("mailbox", "cryptokey", "generate", "-u", f"{name}@bench.test", "-U"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        yield process.pid, lmtp, imap
    finally:
        process.terminate()
        process.wait(20)
        time.sleep(0.2)
