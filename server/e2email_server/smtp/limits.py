"""What one peer may ask of inbound SMTP: every limit, its default and its reason."""

from dataclasses import dataclass

from e2email_server.config import Limits as Settings

COPIES = 3  # octets as received, as unstuffed, as composed: the most that exist at one time

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in octets, times in seconds. Each has one defined answer, see docs/specs/smtp.md."""

    message: int = 50 * MIB  # what the large providers send at most, with room for base64
    recipients: int = 100  # RFC 5321 §4.5.3.1.8: at least 100
    fanout: int = 1024 * MIB  # recipients × size: each recipient is a sealed copy of its own
    memory: int = 512 * MIB  # clear mail in memory at any time, counted three times
    memory_reserve: int = 64 * MIB  # of `memory`, kept for small mail when large mail fills it
    small: int = 256 * KIB  # the mail that may use the reserve

    command: int = 2 * KIB  # RFC 5321: 512, plus SMTPUTF8 and DSN parameters (ENVID, ORCPT)
    connections: int = 1000  # a connection costs some 20 KiB, under TLS some 300 KiB
    connections_per_address: int = 50  # the largest senders open a few dozen

    idle: float = 300.0  # RFC 5321 §4.5.3.2.7: at least five minutes
    transaction: float = 600.0  # MAIL to end of data, plus a second for each `rate` received
    rate: int = 16 * KIB  # octets a second that earn a second more; 50 MiB may take an hour
    impatience: float = 0.1  # factor on both times while half of all connections are taken
    handshake: float = 30.0  # STARTTLS
    drain: float = 30.0  # what a transaction in flight gets when the server stops

    strikes: int = 3  # commands that are no SMTP, or out of order
    strangers: int = 20  # unknown recipients in a session: somebody is trying out names
    junk: int = 100  # commands without a mail (NOOP, RSET, VRFY, refused RCPT…)
    hops: int = 100  # RFC 5321 §6.3: at least 100; real mail with 93 exists

    @classmethod
    def from_config(cls, config: Settings) -> "Limits":
        """The settings of server.toml; the rest is not the operator's to tune."""
        return cls(
            message=config.message_size,
            recipients=config.recipients,
            fanout=config.transaction_size,
            memory=config.memory,
            # the largest mail allowed must fit beside the reserve
            memory_reserve=min(config.memory // 8, config.memory - COPIES * config.message_size),
            connections=config.connections,
            connections_per_address=config.connections_per_address,
            idle=config.idle_seconds,
            transaction=config.transaction_seconds,
            rate=config.minimum_rate,
            drain=config.drain_seconds,
            hops=config.hops,
        )
