"""docs/specs/smtp.md says what the code does."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from e2email_server.config import Limits as Settings
from e2email_server.smtp.delivery import Refusal
from e2email_server.smtp.dialogue import ALLOWED, ANY
from e2email_server.smtp.limits import Limits

TEXT = (Path(__file__).parents[2] / "docs/specs/smtp.md").read_text()


@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_every_limit_is_told(name: str) -> None:
    assert f"| `{name}` |" in TEXT


@pytest.mark.parametrize("refusal", list(Refusal))
def test_every_refusal_is_told(refusal: Refusal) -> None:
    assert f"`{refusal.reply[:9].decode()}`" in TEXT


def test_every_refusal_is_a_reply() -> None:
    for refusal in Refusal:
        reply = refusal.reply.decode()
        assert re.fullmatch(r"([45])\d\d \1\.\d\.\d [ -~]{1,80}", reply)
        assert refusal.temporary is reply.startswith("4")


def test_every_command_is_told() -> None:
    for commands in ALLOWED.values():
        for command in commands - ANY | ANY:
            assert command in TEXT


def test_limits_come_from_the_settings() -> None:
    settings = Settings(
        message_size=1,
        recipients=2,
        transaction_size=3,
        memory=400,
        hops=5,
        connections=6,
        connections_per_address=7,
        transaction_seconds=8,
        minimum_rate=9,
        idle_seconds=10,
        drain_seconds=11,
    )
    limits = Limits.from_config(settings)
    assert (limits.message, limits.recipients, limits.fanout, limits.memory) == (1, 2, 3, 400)
    assert (limits.hops, limits.connections, limits.connections_per_address) == (5, 6, 7)
    assert (limits.transaction, limits.rate, limits.idle, limits.drain) == (8, 9, 10, 11)
    assert limits.memory_reserve == 50


@pytest.mark.parametrize("memory", [3, 4, 7, 8, 100])
def test_the_largest_mail_always_fits_beside_the_reserve(memory: int) -> None:
    limits = Limits.from_config(Settings(message_size=memory // 3, memory=memory))
    assert limits.memory - limits.memory_reserve >= 3 * limits.message
