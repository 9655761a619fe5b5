"""The server's certificate: loading it, and loading it anew while the server runs."""

import ssl

from e2email_server.config import Config
from e2email_server.config_values import ConfigError


class ServerTls:
    """One context for all listeners; `reload` changes it in place for new connections."""

    def __init__(self, config: Config) -> None:
        self.context = new_context(config)

    def reload(self, config: Config) -> None:
        """Raises ConfigError; the old certificate then stays."""
        new_context(config)  # a pair that does not fit must not spoil the live context
        _load(self.context, config)


def new_context(config: Config) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 with the configured certificate. Raises ConfigError, naming the key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    _load(context, config)
    return context


def _load(context: ssl.SSLContext, config: Config) -> None:
    files = config.tls
    for key, path in (("certificate", files.certificate), ("key", files.key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigError(f"{config.path}: tls.{key}: {path}: {error.strerror}") from None
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        reason = (error.reason or "not a PEM file with its matching key").lower()
        raise ConfigError(
            f"{config.path}: tls.certificate: {files.certificate}: {reason}"
        ) from None


def _no_password() -> str:
    """A daemon cannot be asked."""
    return ""
