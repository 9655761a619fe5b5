"""One file per command: its grammar, its parse, what it does."""

from __future__ import annotations

from collections.abc import Callable

from ..context import Context, Replies
from . import auth, capa, dele, list, noop, quit, retr, rset, stat, stls, top, uidl, user, utf8

# What follows the keyword and one space is handed over as it came.
Run = Callable[[Context, bytes], Replies]

RUN: dict[bytes, Run] = {
    b"CAPA": capa.run,
    b"STLS": stls.run,
    b"UTF8": utf8.run,
    b"USER": user.run_user,
    b"PASS": user.run_pass,
    b"AUTH": auth.run,
    b"STAT": stat.run,
    b"LIST": list.run,
    b"UIDL": uidl.run,
    b"RETR": retr.run,
    b"TOP": top.run,
    b"DELE": dele.run,
    b"RSET": rset.run,
    b"NOOP": noop.run,
    b"QUIT": quit.run,
}
