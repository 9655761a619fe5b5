"""One file per command: its grammar, its parse, what it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..context import Command
from ..cursor import Cursor
from . import (
    append,
    authenticate,
    capability,
    close,
    copy,
    create,
    delete,
    enable,
    expunge,
    fetch,
    id,
    idle,
    list,
    login,
    logout,
    lsub,
    namespace,
    noop,
    rename,
    replace,
    search,
    select,
    starttls,
    status,
    store,
    subscribe,
)

Parse = Callable[[Cursor], Command]

PARSE: dict[bytes, Parse] = {
    b"CAPABILITY": capability.parse,
    b"NOOP": noop.parse,
    b"CHECK": noop.parse,
    b"LOGOUT": logout.parse,
    b"ID": id.parse,
    b"STARTTLS": starttls.parse,
    b"LOGIN": login.parse,
    b"AUTHENTICATE": authenticate.parse,
    b"ENABLE": enable.parse,
    b"NAMESPACE": namespace.parse,
    b"LIST": list.parse,
    b"LSUB": lsub.parse,
    b"SELECT": partial(select.parse, readonly=False),
    b"EXAMINE": partial(select.parse, readonly=True),
    b"CREATE": create.parse,
    b"DELETE": delete.parse,
    b"RENAME": rename.parse,
    b"SUBSCRIBE": partial(subscribe.parse, on=True),
    b"UNSUBSCRIBE": partial(subscribe.parse, on=False),
    b"STATUS": status.parse,
    b"APPEND": append.parse,
    b"IDLE": idle.parse,
    b"CLOSE": partial(close.parse, expunge=True),
    b"UNSELECT": partial(close.parse, expunge=False),
    b"EXPUNGE": partial(expunge.parse, uid=False),
    b"SEARCH": partial(search.parse, uid=False),
    b"FETCH": partial(fetch.parse, uid=False),
    b"STORE": partial(store.parse, uid=False),
    b"COPY": partial(copy.parse, uid=False, move=False),
    b"MOVE": partial(copy.parse, uid=False, move=True),
    b"REPLACE": partial(replace.parse, uid=False),
    b"UID REPLACE": partial(replace.parse, uid=True),
    b"UID EXPUNGE": partial(expunge.parse, uid=True),
    b"UID SEARCH": partial(search.parse, uid=True),
    b"UID FETCH": partial(fetch.parse, uid=True),
    b"UID STORE": partial(store.parse, uid=True),
    b"UID COPY": partial(copy.parse, uid=True, move=False),
    b"UID MOVE": partial(copy.parse, uid=True, move=True),
}
