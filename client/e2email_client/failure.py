"""What can go wrong on the user's machine: one sentence and one exit code each.

docs/specs/cli.md lists the codes. The text is shown to the user as it is, so it holds no secret.
"""

from typing import ClassVar


class ClientError(Exception):
    """Base. `str()` is one sentence for the user."""

    exit_code: ClassVar[int] = 1


class NotSetUp(ClientError):
    """There is no such account on this machine, or it is not clear which is meant."""

    exit_code = 3


class WrongSecret(ClientError):
    """The passphrase does not fit, or the server does not accept it."""

    exit_code = 4


class NoSecret(WrongSecret):
    """No passphrase was given and nobody can be asked."""


class Alarm(ClientError):
    """Something that must verify does not: damage, or a server that misbehaves."""

    exit_code = 5


class Behind(Alarm):
    """A key of the account put another in place, which this machine does not have yet."""

    def __init__(self, fingerprint: str) -> None:
        super().__init__(
            f"The account's key was changed on another machine: new mail is sealed to "
            f"{fingerprint}, which your own key put in place and this machine does not have yet. "
            "Run e2email account refresh here; until then new mail cannot be opened."
        )
        self.fingerprint = fingerprint


class Offline(ClientError):
    """The server was not reached, or did not answer in time."""

    exit_code = 6


class Refused(ClientError):
    """The server understood and said no. `code` is one of docs/specs/account-api.md."""

    exit_code = 7

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class BadServer(ClientError):
    """What answered is not the e2email server that was meant, or breaks its own rules."""

    exit_code = 8


class NotUnderstood(BadServer):
    """The server answered BAD: this command is none to it. The connection goes on."""


class LocalFault(ClientError):
    """A file or folder on this machine cannot be read or written."""

    exit_code = 9


class NotThere(ClientError):
    """No such mailbox or message on this machine."""

    exit_code = 10


class Incomplete(ClientError):
    """Done as far as it goes; something that was asked for could not be given."""

    exit_code = 11
