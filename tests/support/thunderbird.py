"""Thunderbird on a display of its own, driven through Marionette.

The profile is made here: one IMAP account at the proxy, its certificate trusted, its password
stored. Every wait is bounded; nothing but loopback is talked to.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from support.system import Proxy, end, eventually

PROGRAMS = ("thunderbird", "Xvfb", "certutil")
COMMAND = ("thunderbird", "--marionette", "--remote-allow-system-access", "--no-remote")
START_SECONDS = 120.0
PAINTED_SECONDS = 1.5  # what is listed is drawn a moment later
SCREEN = "1400x900x24"

# No first-run pages, no calls home, no questions.
QUIET: dict[str, object] = {
    "app.donation.eoy.version.viewed": 999,
    "app.update.auto": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mail.spotlight.firstRunDone": True,
    "mail.biff.show_alert": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
    "browser.safebrowsing.enabled": False,
    "extensions.update.enabled": False,
    "mail.tabs.drawInTitlebar": False,
    "mailnews.mark_message_read.auto": True,
    "mailnews.mark_message_read.delay": False,
    "mail.pane_config.dynamic": 0,
    "marionette.port": 0,
}

# In front of every script: the few things of Thunderbird that they all use.
_TOOLS = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts.find(a => a.incomingServer.type == "imap");
const server = account.incomingServer;
const root = server.rootFolder;
const folder = name => root.descendants.find(f => f.name == name || f.prettyName == name
                                                  || (name == "INBOX" && f.flags & 0x1000));
const pane = () => Services.wm.getMostRecentWindow("mail:3pane");
const about = () => pane().document.getElementById("tabmail").currentAbout3Pane;
const message = () => about().messageBrowser.contentWindow;
const composer = () => Services.wm.getMostRecentWindow("msgcompose");
const headers = f => { const found = []; for (const h of f.messages) found.push(h); return found; };
"""


def missing() -> list[str]:
    """What has to be installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


class ScriptFailed(Exception):
    """What Thunderbird said to a script of ours."""


class _Marionette:
    """The few commands of the protocol: length ":" JSON, both ways."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._unread = b""
        self._count = 0
        self._message()  # its greeting
        self.command("WebDriver:NewSession", {"capabilities": {}})
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": 60_000})

    def _message(self) -> Any:
        while b":" not in self._unread:
            self._more()
        length, _, self._unread = self._unread.partition(b":")
        while len(self._unread) < int(length):
            self._more()
        message = self._unread[: int(length)]
        self._unread = self._unread[int(length) :]
        return json.loads(message)

    def _more(self) -> None:
        got = self._socket.recv(1 << 16)
        if not got:
            raise ScriptFailed("Thunderbird closed the connection")
        self._unread += got

    def command(self, name: str, parameters: dict[str, Any]) -> Any:
        self._count += 1
        sent = json.dumps([0, self._count, name, parameters]).encode()
        self._socket.sendall(b"%d:" % len(sent) + sent)
        _, _, error, answer = self._message()
        if error:
            raise ScriptFailed(f"{error.get('error')}: {error.get('message')}")
        return answer

    def close(self) -> None:
        self._socket.close()


class Thunderbird:
    """A running Thunderbird, as a context manager. `shots`: where screenshots go, or None."""

    def __init__(self, proxy: Proxy, folder: Path, shots: Path | None = None) -> None:
        self._proxy = proxy
        self.address = proxy.user.address
        self.profile = folder / "profile"
        self._folder = folder
        self._shots = shots
        self._display: subprocess.Popen[bytes] | None = None
        self._program: subprocess.Popen[bytes] | None = None
        self._marionette: _Marionette | None = None

    def __enter__(self) -> Self:
        try:
            self._write_profile()
            display = self._start_display()
            self._start_program(display)
            self._log_in()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._marionette is not None:
            self._marionette.close()
        for process in (self._program, self._display):
            if process is not None:
                end(process)

    def _write_profile(self) -> None:
        self.profile.mkdir(parents=True)
        user = quote(self.address, safe="")
        server = {
            "hostname": "localhost",
            "port": self._proxy.shown["imaps"],
            "type": "imap",
            "userName": self.address,
            "name": self.address,
            "socketType": 3,  # TLS from the first octet
            "authMethod": 3,  # password in clear, inside TLS
            # only once its password is stored: it would ask, and wait for the answer
            "check_new_mail": False,
            "login_at_startup": False,
        }
        identity = {
            "fullName": "The Owner",
            "useremail": self.address,
            "valid": True,
            "draft_folder": f"imap://{user}@localhost/Drafts",
            "fcc_folder": f"imap://{user}@localhost/Sent",
            "archive_folder": f"imap://{user}@localhost/Archive",
            "smtpServer": "smtp1",
        }
        prefs = QUIET | {
            "mail.accountmanager.accounts": "account1",
            "mail.accountmanager.defaultaccount": "account1",
            "mail.account.account1.server": "server1",
            "mail.account.account1.identities": "id1",
            "mail.smtpservers": "smtp1",
            "mail.smtpserver.smtp1.hostname": "localhost",
            "mail.smtpserver.smtp1.username": self.address,
        }
        prefs |= {f"mail.server.server1.{name}": value for name, value in server.items()}
        prefs |= {f"mail.identity.id1.{name}": value for name, value in identity.items()}
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in prefs.items()]
        (self.profile / "user.js").write_text("\n".join(lines))
        self._trust(self._proxy.certificate)

    def _trust(self, certificate: Path) -> None:
        store = f"sql:{self.profile}"
        for arguments in (
            ["-N", "--empty-password"],
            ["-A", "-n", "proxy", "-t", "C,,", "-i", str(certificate)],
        ):
            subprocess.run(
                ["certutil", "-d", store, *arguments], check=True, capture_output=True, timeout=60
            )

    def _start_display(self) -> str:
        read, write = os.pipe()
        try:
            self._display = subprocess.Popen(
                ["Xvfb", "-displayfd", str(write), "-screen", "0", SCREEN, "-nolisten", "tcp"],
                pass_fds=(write,),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        finally:
            os.close(write)
        with os.fdopen(read) as pipe:
            return f":{pipe.readline().strip()}"

    def _start_program(self, display: str) -> None:
        home = self._folder / "home"
        home.mkdir()
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        surroundings = {"HOME": str(home), "DISPLAY": display, "MOZ_CRASHREPORTER_DISABLE": "1"}
        with (self._folder / "thunderbird.log").open("wb") as log:
            self._program = subprocess.Popen(
                [*COMMAND, "--profile", str(self.profile)],
                env=kept | surroundings,
                stdout=log,
                stderr=log,
            )
        # it may need another port where its own is taken: it writes down which it has
        told = self.profile / "MarionetteActivePort"
        assert eventually(lambda: told.exists() and told.read_text(), START_SECONDS), "no start"
        self._marionette = _Marionette(int(told.read_text()))
        self.wait("pane() && pane().document.readyState == 'complete'", START_SECONDS)

    def _log_in(self) -> None:
        self.script(
            """
            const login = Cc["@mozilla.org/login-manager/loginInfo;1"]
              .createInstance(Ci.nsILoginInfo);
            login.init("imap://localhost", null, "imap://localhost", args[0], args[1], "", "");
            Services.logins.addLoginAsync(login);
            server.password = args[1];
            server.doBiff = true;
            server.biffMinutes = 1;
            server.performExpand(pane().msgWindow);
            """,
            self.address,
            self._proxy.password,
        )
        self.wait("folder('INBOX') && folder('Sent')", START_SECONDS)

    def script(self, code: str, *arguments: object) -> Any:
        """Run in the program's own context; `args` are the arguments, `return` the answer."""
        assert self._marionette is not None
        sent = {
            "script": f"const args = [...arguments];\n{_TOOLS}\n{code}",
            "args": list(arguments),
            "newSandbox": False,
        }
        return self._marionette.command("WebDriver:ExecuteScript", sent)["value"]

    def value(self, expression: str, *arguments: object) -> Any:
        return self.script(f"return ({expression});", *arguments)

    def wait(self, expression: str, seconds: float = 30.0, *arguments: object) -> Any:
        """The first true value; AssertionError when time is up."""
        found = None

        def tried() -> Any:
            nonlocal found
            try:
                found = self.value(f"!!({expression})", *arguments)
            except ScriptFailed as fault:
                found = None
                self._last = fault
            return found

        self._last: ScriptFailed | None = None
        if not eventually(tried, seconds, 0.2):
            self.shot("gave-up")
            raise AssertionError(f"never: {expression} {self._last or ''}")
        return found

    def show(self, name: str) -> None:
        """Open a mailbox in the main window, as a click does."""
        self.script("about().displayFolder(folder(args[0]));", name)
        self.wait("about().gDBView && about().gFolder == folder(args[0])", 30, name)

    def select(self, subject: str) -> None:
        """Click on a message of the open mailbox."""
        self.wait(
            """(() => { const view = about().gDBView;
                 for (let row = 0; row < view.rowCount; row++)
                   if (view.getMsgHdrAt(row).mime2DecodedSubject == args[0]) {
                     about().threadTree.selectedIndex = row; return true; }
                 return false; })()""",
            30,
            subject,
        )

    def command(self, name: str) -> None:
        """A command of the message list, as menus and keys send it."""
        self.script("about().commandController.doCommand(args[0]);", name)

    def command_with_folder(self, name: str, target: str) -> None:
        self.script("about().commandController.doCommand(args[0], folder(args[1]));", name, target)

    def wait_text(self, text: str) -> None:
        """Until the open message shows this."""
        self.wait(
            "message().getMessagePaneBrowser().contentDocument.body.textContent.includes(args[0])",
            30,
            text,
        )

    def compose(self, to: str, subject: str, body: str) -> None:
        """Open a composer and fill it in."""
        self.script(
            """
            const fields = Cc["@mozilla.org/messengercompose/composefields;1"]
              .createInstance(Ci.nsIMsgCompFields);
            [fields.to, fields.subject, fields.body] = args;
            const params = Cc["@mozilla.org/messengercompose/composeparams;1"]
              .createInstance(Ci.nsIMsgComposeParams);
            params.composeFields = fields;
            params.identity = account.defaultIdentity;
            params.format = Ci.nsIMsgCompFormat.PlainText;
            MailServices.compose.OpenComposeWindowWithParams(null, params);
            """,
            to,
            subject,
            body,
        )
        self.wait(
            "composer() && composer().gMsgCompose && composer().gMsgCompose.editor"
            " && composer().composeEditorReady"
        )

    def write(self, text: str) -> None:
        self.script("composer().GetCurrentEditor().insertText(args[0]);", text)

    def save_draft(self) -> None:
        self.script("composer().SaveAsDraft();")
        self.wait("!composer().gWindowLocked && !composer().gSaveOperationInProgress", 60)

    def close_composer(self) -> None:
        self.script("composer().close();")
        self.wait("!composer()")

    def search(self, mailbox: str, text: str) -> list[str]:
        """Subjects of what the server finds in the bodies."""
        self.script(
            """
            const session = Cc["@mozilla.org/messenger/searchSession;1"]
              .createInstance(Ci.nsIMsgSearchSession);
            session.addScopeTerm(Ci.nsMsgSearchScope.onlineMail, folder(args[0]));
            const term = session.createTerm();
            const value = term.value;
            value.attrib = Ci.nsMsgSearchAttrib.Body;
            value.str = args[1];
            term.value = value;
            term.attrib = Ci.nsMsgSearchAttrib.Body;
            term.op = Ci.nsMsgSearchOp.Contains;
            term.booleanAnd = false;
            session.appendTerm(term);
            pane().found = [];
            pane().foundAll = false;
            session.registerListener({
              onSearchHit(header) { pane().found.push(header.mime2DecodedSubject); },
              onSearchDone() { pane().foundAll = true; },
              onNewSearch() {},
            });
            session.search(pane().msgWindow);
            """,
            mailbox,
            text,
        )
        self.wait("pane().foundAll")
        return sorted(self.value("pane().found"))

    def subjects(self, mailbox: str) -> list[str]:
        found = self.value("headers(folder(args[0])).map(h => h.mime2DecodedSubject)", mailbox)
        return sorted(found)

    def refresh(self, mailbox: str) -> None:
        self.script("folder(args[0]).updateFolder(pane().msgWindow);", mailbox)

    def shot(self, name: str) -> None:
        if self._shots is None or self._marionette is None:
            return
        self._shots.mkdir(parents=True, exist_ok=True)
        time.sleep(PAINTED_SECONDS)
        answer = self._marionette.command("WebDriver:TakeScreenshot", {"full": False})
        (self._shots / f"{name}.png").write_bytes(base64.b64decode(answer["value"]))
