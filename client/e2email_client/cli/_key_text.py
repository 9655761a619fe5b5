"""A key in words, for `e2email key`: a line, a page, JSON, a QR code."""

from __future__ import annotations

import time
from typing import Any

import click

from e2email_client import clean
from e2email_client.key_facts import KeyFacts, grouped


def as_json(key: KeyFacts) -> dict[str, Any]:
    """docs/specs/cli.md."""
    return {
        "fingerprint": key.fingerprint,
        "role": key.role.value,
        "profile": key.profile,
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "user_ids": list(key.user_ids),
        "subkeys": [
            {
                "fingerprint": one.fingerprint,
                "created": one.created,
                "expires": one.expires,
                "state": one.state.value,
            }
            for one in key.subkeys
        ],
    }


def one_line(key: KeyFacts) -> str:
    ends = ", revoked" if key.revoked else _ends(key.expires)
    return f"{grouped(key.fingerprint)}  {key.role.value}, since {_day(key.created)}{ends}"


def described(key: KeyFacts) -> list[str]:
    lines = [f"Fingerprint  {grouped(key.fingerprint)}", f"Role         {key.role.value}"]
    lines.append(f"Kind         {key.profile}, made on {_day(key.created)}{_ends(key.expires)}")
    if key.revoked:
        lines.append("             REVOKED")
    lines += [f"For          {clean.line(one)}" for one in key.user_ids]
    lines += [
        f"Subkey       {grouped(one.fingerprint)}\n"
        f"             {one.state.value}, since {_day(one.created)}{_ends(one.expires)}"
        for one in key.subkeys
    ]
    return lines


def screen(key: KeyFacts) -> list[str]:
    """What phones and other programs read a fingerprint from."""
    from e2email_client import qr, verification

    picture = qr.lines(qr.matrix(verification.code(key.fingerprint), qr.LEVEL_SCREEN))
    # black on white, whatever the terminal's colours are
    return [click.style(line, fg="black", bg="bright_white") for line in picture]


def _ends(expires: int | None) -> str:
    return f", expires on {_day(expires)}" if expires is not None else ""


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
