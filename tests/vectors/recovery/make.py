"""Writes the missing vectors here: `PYTHONPATH=tests python tests/vectors/recovery/make.py`."""

from e2email_crypto import recovery
from support.key_vectors import ACCOUNT, OTHER, SERVER, case

R = bytes(range(16))


def write() -> None:
    def one(
        name: str, about: str, secret: bytes = R, account: str = ACCOUNT, server: str = SERVER
    ) -> None:
        given = {"secret": secret.hex(), "account": account, "server_name": server}
        if len(secret) != recovery.SECRET_SIZE or not account:
            case("recovery", name, about, given, "ValueError")
            return
        keys = recovery.split(secret, account, server)
        parts = {part: getattr(keys, part).hex() for part in ("auth", "wrap", "seed", "public")}
        words = " ".join(recovery.to_words(secret))
        case("recovery", name, about, given, "ok", words=words, **parts)

    one("plain", "auth for the server, wrap for the slot, an Ed25519 key for the history")
    one("zero", "", bytes(16))
    one("ones", "", b"\xff" * 16)
    one("other-account", "every key is another", account=OTHER)
    one("other-server", "every key is another", server="x.test")
    one("name-case", "ASCII letters of names in lower case", account=ACCOUNT.upper())
    one(
        "name-composed", "names are NFC: e and a combining acute are é", account="cafe\u0301@x.test"
    )
    one("short", "15 octets", bytes(15))
    one("long", "32 octets", bytes(32))
    one("no-name", "", account="")


if __name__ == "__main__":
    write()
