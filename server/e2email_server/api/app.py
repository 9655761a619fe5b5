"""The routes. Each handler: who is it, what do they want, one call, one answer."""

from collections.abc import Callable, Collection, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp

from e2email_protocol import account as messages
from e2email_protocol.account import (
    ACCOUNT_KEY_REQUEST_CAP,
    QUESTION_CAP,
    STATE_REQUEST_CAP,
    ServerInfo,
)
from e2email_server.account_boxes import STATE, VAULT
from e2email_server.accounts import INVITE_PREFIX, Accounts
from e2email_server.api.autoconfig import of_proxy, of_server
from e2email_server.api.reply import ApiError, message, no_content
from e2email_server.api.request import invite, number, owner, owner_or_device, peer, read
from e2email_server.api.resource import Resource
from e2email_server.api.turns import Turns
from e2email_server.logins import Logins
from e2email_server.store.api import Store


class AccountApi:
    """Handlers over the rules of accounts."""

    def __init__(self, accounts: Accounts, logins: Logins, info: ServerInfo) -> None:
        self._accounts = accounts
        self._logins = logins
        self._info = info
        self._turns = Turns()

    async def server(self, _request: Request) -> Response:
        return message(self._info)

    async def register(self, request: Request) -> Response:
        invited = await self._accounts.invited(invite(request), peer(request))
        wish = await read(request, messages.Registration)
        return message(await self._accounts.register(wish, invited), 201)

    async def login_parameters(self, request: Request) -> Response:
        question = await read(request, messages.LoginQuestion, QUESTION_CAP)
        return message(await self._accounts.login_parameters(question.address))

    async def account(self, request: Request) -> Response:
        who = await owner_or_device(request, self._logins)
        return message(await self._accounts.info(who.account))

    async def get_vault(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        box = await self._accounts.box(who.account, VAULT)
        return message(messages.VaultBox(box.version, box.octets))

    async def put_vault(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.VaultBox)
        await self._accounts.put_box(who.account, VAULT, wish.version, wish.vault)
        return no_content()

    async def delete_vault(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        await self._accounts.remove_vault(who.account)
        return no_content()

    async def get_slots(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        return message(await self._accounts.slots(who.account))

    async def put_slot(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        await self._accounts.put_slot(who.account, await read(request, messages.NewSlot))
        return no_content()

    async def delete_slots(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        await self._accounts.remove_slots(who.account)
        return no_content()

    async def put_account_key(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        async with self._turns.of(who.account.account_id):
            wish = await read(request, messages.NewAccountKey, ACCOUNT_KEY_REQUEST_CAP)
            await self._accounts.replace_account_key(who.account, wish)
        return no_content()

    async def put_pairing(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.NewPairing)
        await self._accounts.put_pairing(who.account, request.path_params["pairing_id"], wish)
        return no_content()

    async def post_pairing(self, request: Request) -> Response:
        pairing_id = request.path_params["pairing_id"]
        return message(await self._accounts.take_pairing(pairing_id, peer(request)))

    async def get_state(self, request: Request) -> Response:
        who = await owner_or_device(request, self._logins)
        box = await self._accounts.box(who.account, STATE)
        return message(messages.StateBox(box.version, box.octets))

    async def put_state(self, request: Request) -> Response:
        who = await owner_or_device(request, self._logins)
        async with self._turns.of(who.account.account_id):
            wish = await read(request, messages.StateBox, STATE_REQUEST_CAP)
            await self._accounts.put_box(who.account, STATE, wish.version, wish.state)
        return no_content()

    async def get_statements(self, request: Request) -> Response:
        first = number(request.query_params.get("from", "1"))
        token = invite(request)
        if token.startswith(INVITE_PREFIX):
            invited = await self._accounts.invited(token, peer(request))
            return message(await self._accounts.invited_history(invited, first))
        who = await owner_or_device(request, self._logins)
        return message(await self._accounts.statements(who.account, first))

    async def post_statement(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.NewStatement)
        await self._accounts.publish(who.account, wish.statement, None)
        return no_content()

    async def put_certificates(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.NewCertificates)
        await self._accounts.publish(who.account, wish.statement, wish.certificates)
        return no_content()

    async def put_revocation(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.Revocation)
        await self._accounts.revoke(who.account, wish.certificate)
        return no_content()

    async def get_autoconfig(self, request: Request) -> Response:
        who = await owner_or_device(request, self._logins)
        return message(messages.Autoconfig(await self._accounts.autoconfig(who.account.address)))

    async def put_autoconfig(self, request: Request) -> Response:
        who = await owner_or_device(request, self._logins)
        wish = await read(request, messages.Autoconfig)
        await self._accounts.set_autoconfig(who.account, wish.choice)
        return no_content()

    async def get_tokens(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        return message(await self._accounts.tokens(who.account))

    async def post_token(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        wish = await read(request, messages.TokenRequest)
        return message(await self._accounts.new_token(who.account, wish), 201)

    async def delete_token(self, request: Request) -> Response:
        who = await owner(request, self._logins)
        token_id = number(request.path_params["token_id"])
        await self._accounts.remove_token(who.account, token_id)
        return no_content()


def build(
    accounts: Accounts,
    logins: Logins,
    store: Store,
    info: ServerInfo,
    domains: Callable[[], Collection[str]],
    more: Mapping[str, Resource],
) -> ASGIApp:
    """The application. `info` names the ports that are really open; `domains` are asked anew.

    `more`: resources by path that other modules make (records, directory, wkd).
    """
    api = AccountApi(accounts, logins, info)

    async def health(_request: Request) -> Response:
        if not store.has_room():
            raise ApiError(503, "disk-low", "The server has too little disk space for new mail.")
        return no_content()

    async def settings(request: Request) -> Response:
        choice = await accounts.autoconfig(request.query_params.get("emailaddress", ""))
        if choice == "none":
            raise ApiError(404, "not-found", "There is nothing here.")
        return (of_server if choice == "sealed" else of_proxy)(info, domains())

    resources = {
        "/v1/server": Resource(get=api.server),
        "/v1/accounts": Resource(post=api.register),
        "/v1/login-parameters": Resource(post=api.login_parameters),
        "/v1/account": Resource(get=api.account),
        "/v1/vault": Resource(get=api.get_vault, put=api.put_vault, delete=api.delete_vault),
        "/v1/slots": Resource(get=api.get_slots, put=api.put_slot, delete=api.delete_slots),
        "/v1/account-key": Resource(put=api.put_account_key),
        "/v1/pairings/{pairing_id}": Resource(put=api.put_pairing, post=api.post_pairing),
        "/v1/state": Resource(get=api.get_state, put=api.put_state),
        "/v1/statements": Resource(get=api.get_statements, post=api.post_statement),
        "/v1/certificates": Resource(put=api.put_certificates),
        "/v1/revocation": Resource(put=api.put_revocation),
        "/v1/autoconfig": Resource(get=api.get_autoconfig, put=api.put_autoconfig),
        "/v1/tokens": Resource(get=api.get_tokens, post=api.post_token),
        "/v1/tokens/{token_id}": Resource(delete=api.delete_token),
        "/health": Resource(get=health),
        "/.well-known/autoconfig/mail/config-v1.1.xml": Resource(get=settings),
        "/mail/config-v1.1.xml": Resource(get=settings),
        **more,
    }
    routes = [Route(path, resource) for path, resource in resources.items()]
    return Router(routes, redirect_slashes=False, default=Resource())
