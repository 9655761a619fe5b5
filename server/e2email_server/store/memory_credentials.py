"""Invites, tokens and encrypted boxes in memory."""

from dataclasses import replace

from e2email_server.store.credential_rows import MAX_TOKENS
from e2email_server.store.errors import AlreadyExists, LimitReached, NotFound
from e2email_server.store.memory_base import Memory
from e2email_server.store.types import Box, Invite, NewToken, Token


class Credentials(Memory):
    """See api.Store."""

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        if any(person.row.address == invite.address for person in self._people.values()):
            raise AlreadyExists("an account with that address exists")
        for other in [h for h, i in self._invites.items() if i.address == invite.address]:
            del self._invites[other]
        self._invites[invite_hash] = invite

    async def find_invite(self, invite_hash: bytes) -> Invite:
        invite = self._invites.get(invite_hash)
        if invite is None or invite.expires <= self._clock():
            raise NotFound("no such invite")
        return invite

    async def add_token(self, token: NewToken) -> Token:
        if len(await self.tokens(token.account_id)) >= MAX_TOKENS:
            raise LimitReached("the account has as many tokens as it may have")
        made = Token(
            self._next(), token.account_id, token.kind, token.name, token.scopes, self._clock(), 0
        )
        self._tokens[token.token_hash] = made
        return made

    async def find_token(self, token_hash: bytes) -> Token:
        try:
            return self._tokens[token_hash]
        except KeyError:
            raise NotFound("no such token") from None

    async def tokens(self, account_id: int) -> list[Token]:
        return [token for token in self._tokens.values() if token.account_id == account_id]

    async def remove_token(self, account_id: int, token_id: int) -> None:
        for token_hash, token in self._tokens.items():
            if (token.account_id, token.token_id) == (account_id, token_id):
                del self._tokens[token_hash]
                self._epoch += 1
                return
        raise NotFound("no such token")

    async def token_used(self, token_id: int, day: int) -> None:
        for token_hash, token in self._tokens.items():
            if token.token_id == token_id:
                self._tokens[token_hash] = replace(token, last_used_day=day)

    async def boxes(self, account_id: int) -> list[Box]:
        boxes = self._people[account_id].boxes if account_id in self._people else {}
        return [boxes[name] for name in sorted(boxes)]

    async def box(self, account_id: int, name: str) -> Box:
        for box in await self.boxes(account_id):
            if box.name == name:
                return box
        raise NotFound("no such box")

    async def put_box(self, account_id: int, box: Box) -> None:
        self._person(account_id).put(box)

    async def remove_box(self, account_id: int, name: str) -> None:
        self._person(account_id).boxes.pop(name, None)
