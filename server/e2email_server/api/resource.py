"""One path: which methods it has, and the door where errors become answers."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from e2email_server.api.reply import ApiError, as_reply

Handler = Callable[[Request], Awaitable[Response]]


class Resource:
    """An ASGI application of the handlers of one path; without any, nothing is there."""

    def __init__(self, **handlers: Handler) -> None:
        self._handlers = {method.upper(): handler for method, handler in handlers.items()}
        if "GET" in self._handlers:
            # RFC 9110, section 9.3.2; uvicorn leaves the body out
            self._handlers["HEAD"] = self._handlers["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._handler(request.method)(request)
        except Exception as fault:  # noqa: BLE001  # the one door: every fault becomes an answer
            return as_reply(fault)

    def _handler(self, method: str) -> Handler:
        if not self._handlers:
            raise ApiError(404, "not-found", "There is nothing here.")
        if method not in self._handlers:
            allowed = {"Allow": ", ".join(self._handlers)}
            raise ApiError(405, "method-not-allowed", "There is no such method here.", allowed)
        return self._handlers[method]
