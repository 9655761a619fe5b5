"""The one door from crypto's errors to the client's: which sentence, which exit code."""

from collections.abc import Iterator
from contextlib import contextmanager

from e2email_client.failure import Alarm, WrongSecret
from e2email_crypto import errors


@contextmanager
def judged(what: str) -> Iterator[None]:
    """Say what crypto found wrong with `what` ("The vault"). Its texts are ours and hold no secret.

    A wrong passphrase is the user's to repair and a damaged box is not, so they never share an
    exit code.
    """
    try:
        yield
    except errors.WrongSecret:
        raise WrongSecret("The passphrase does not fit.") from None
    except errors.UnknownVersion as fault:
        raise Alarm(f"{what} needs another version of this program: {fault}.") from fault
    except errors.OtherAccount as fault:
        raise Alarm(f"{what} belongs to another account or server name.") from fault
    except errors.RolledBack as fault:
        raise Alarm(
            f"{what} is older (version {fault.found}) than what this device has seen "
            f"(version {fault.seen})."
        ) from fault
    except errors.KdfRefused as fault:
        raise Alarm(f"{what} was refused: {fault}.") from fault
    except errors.CryptoError as fault:
        raise Alarm(f"{what} is damaged or was tampered with: {fault}.") from fault
