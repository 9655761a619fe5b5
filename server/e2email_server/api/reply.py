"""Answers: messages as JSON, and every error as a code and a bland sentence, at one door."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Final

from starlette.responses import Response

from e2email_protocol.account import Refusal
from e2email_protocol.jsonform import Form, FormInvalid
from e2email_server.accounts import InviteRefused
from e2email_server.keycheck import KeysRefused
from e2email_server.logins import LoginRefused, TryLater
from e2email_server.store import errors as store

log = logging.getLogger(__name__)

# Answers hold wrapped keys and tokens: no cache on the way may keep them.
HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class ApiError(Exception):
    """An answer other than success: status, code for programs, sentence for people."""

    def __init__(
        self, status: int, code: str, text: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.text = text
        self.headers = dict(headers or {})


def message(body: Form, status: int = 200) -> Response:
    return Response(body.encode(), status, dict(HEADERS), "application/json")


def no_content() -> Response:
    return Response(b"{}", 200, dict(HEADERS), "application/json")


def refusal(error: ApiError) -> Response:
    body = Refusal(error.code, error.text).encode()
    return Response(body, error.status, {**HEADERS, **error.headers}, "application/json")


def _login_refused(_fault: LoginRefused) -> ApiError:
    return ApiError(
        401,
        "login-refused",
        "The login was refused.",
        {"WWW-Authenticate": 'Basic realm="e2email", charset="UTF-8"'},
    )


def _try_later(fault: TryLater) -> ApiError:
    seconds = math.ceil(fault.seconds)
    text = f"Too many attempts; try again in {seconds} seconds."
    return ApiError(429, "try-later", text, {"Retry-After": str(seconds)})


def _failure(fault: store.Failure) -> ApiError:
    log.error("the store failed: %s", fault)
    return ApiError(503, "unavailable", "The server cannot do this now; try again later.")


def _form_invalid(fault: FormInvalid) -> ApiError:
    # the text names a member of the message, never its value
    return ApiError(400, "bad-request", f"The request is malformed: {fault}.")


# the most particular class first
_ERRORS: tuple[tuple[type[Exception], Callable[..., ApiError]], ...] = (
    (ApiError, lambda fault: fault),
    (LoginRefused, _login_refused),
    (TryLater, _try_later),
    (
        InviteRefused,
        lambda _: ApiError(403, "invite-refused", "The invite is not valid for this address."),
    ),
    (KeysRefused, lambda fault: ApiError(422, fault.code, str(fault))),
    (FormInvalid, _form_invalid),
    (store.NotFound, lambda _: ApiError(404, "not-found", "There is nothing here.")),
    (store.AlreadyExists, lambda _: ApiError(409, "address-taken", "The address is taken.")),
    (
        store.Conflict,
        lambda _: ApiError(409, "conflict", "Another device was faster; fetch and try again."),
    ),
    (
        store.LimitReached,
        lambda _: ApiError(409, "too-many", "The account has as many of these as it may have."),
    ),
    (store.Failure, _failure),
)


def as_reply(fault: Exception) -> Response:
    """Any exception of a handler as an answer. What is not foreseen is logged without its text."""
    for kind, convert in _ERRORS:
        if isinstance(fault, kind):
            return refusal(convert(fault))
    # its text may quote what the client sent; its type and place do not
    place = RuntimeError(type(fault).__qualname__).with_traceback(fault.__traceback__)
    log.error("account API: an unforeseen error", exc_info=place)
    return refusal(ApiError(500, "internal", "The server failed."))
