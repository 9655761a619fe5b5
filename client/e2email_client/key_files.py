"""Keys in files: what other programs give us, and what they are given."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from e2email_client.failure import LocalFault, NoSecret, WrongSecret
from e2email_client.files import read_private
from e2email_client.own_keys import told
from e2email_crypto import armor, errors, keyedit, keyimport
from e2email_crypto.cert import MAX_CERT, read_packets
from e2email_crypto.vault import Identity, Vault
from e2email_protocol.sealed.armor import base64_lines, crc24

BINARY = 0x80  # set in the first octet of every OpenPGP packet, and in no text


class Kind(Enum):
    """What stands in the armor's first line."""

    PUBLIC = b"PUBLIC KEY BLOCK"
    SECRET = b"PRIVATE KEY BLOCK"


def read(path: Path) -> bytes:
    """LocalFault."""
    return read_private(path)


def identity(octets: bytes, passphrase: str | None, now: int) -> Identity:
    """A secret key that works, without its passphrase. NoSecret where one is needed, WrongSecret
    where it is not this; LocalFault names what is wrong with the key."""
    try:
        with told():
            made = keyimport.read_secret(octets, passphrase, now)
    except errors.PassphraseNeeded:
        raise NoSecret(
            "The key in the file has a passphrase: give it with --import-passphrase-fd or -file "
            "(e2email setup: --key-passphrase-fd or -file)."
        ) from None
    except errors.WrongSecret:
        raise WrongSecret("The passphrase does not fit the key in the file.") from None
    except (errors.Damaged, errors.KdfRefused) as fault:
        raise LocalFault(f"The key in the file was not read: {fault}.") from fault
    return Identity(made.fingerprint, made.tsk, made.cert, made.revocation)


def certificate(octets: bytes) -> bytes:
    """The one public key of a file, armored or binary. LocalFault."""
    with told():
        if not octets[:1] or not octets[0] & BINARY:
            try:
                octets = armor.dearmor(octets, Kind.PUBLIC.value, MAX_CERT)
            except (errors.BadArmor, errors.TooLarge):
                raise LocalFault("The file holds no public key, or one that is too big.") from None
        read_packets(octets)
    return octets


def secret(vault: Vault, fingerprint: str, passphrase: str, now: int) -> bytes:
    """Locked with a passphrase of its own, as gpg, Thunderbird and phones read it."""
    with told():
        return keyedit.export_secret(_of(vault, fingerprint).tsk, passphrase, now)


def revocation(vault: Vault, fingerprint: str) -> bytes:
    """The revocation of a key, made at its birth or import, for a day on which the key is lost."""
    return _of(vault, fingerprint).revocation


def _of(vault: Vault, fingerprint: str) -> Identity:
    found = next((one for one in vault.identities if one.fingerprint == fingerprint), None)
    if found is None:
        raise LocalFault("The secret of that key is on another device, not in the vault.")
    return found


def armored(octets: bytes, kind: Kind) -> bytes:
    """RFC 9580, 6.2; with the checksum that gpg 2.2 wants."""
    import base64

    checksum = b"=" + base64.b64encode(crc24(octets).to_bytes(3))
    return b"\n".join(
        [
            b"-----BEGIN PGP " + kind.value + b"-----",
            b"",
            base64_lines(octets).replace(b"\r\n", b"\n").rstrip(b"\n"),
            checksum,
            b"-----END PGP " + kind.value + b"-----",
            b"",
        ]
    )
