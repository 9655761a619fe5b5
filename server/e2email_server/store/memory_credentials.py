"""Invites, recovery logins, pairings, tokens and encrypted boxes in memory."""

from collections.abc import Collection
from dataclasses import replace

from e2email_server.store.credential_rows import MAX_TOKENS
from e2email_server.store.errors import AlreadyExists, Conflict, LimitReached, NotFound
from e2email_server.store.memory_base import Memory
from e2email_server.store.pairing_rows import MAX_PAIRINGS
from e2email_server.store.types import Box, Invite, NewToken, Pairing, Token


class Credentials(Memory):
    """See api.Store."""

    async def invite(self, invite: Invite, invite_hash: bytes) -> None:
        people = [
            p.row.account_id for p in self._people.values() if p.row.address == invite.address
        ]
        if people and invite.replaces is None:
            raise AlreadyExists("an account with that address exists")
        if invite.replaces is not None and people != [invite.replaces]:
            raise NotFound("no such account")
        for other in [h for h, i in self._invites.items() if i.address == invite.address]:
            del self._invites[other]
        self._invites[invite_hash] = invite

    async def find_invite(self, invite_hash: bytes) -> Invite:
        invite = self._invites.get(invite_hash)
        if invite is None or invite.expires <= self._clock():
            raise NotFound("no such invite")
        return invite

    async def find_recovery(self, recovery_hash: bytes) -> int:
        for account_id, person in self._people.items():
            if person.recovery_hash == recovery_hash:
                return account_id
        raise NotFound("no such recovery")

    async def has_recovery(self, account_id: int) -> bool:
        return self._person(account_id).recovery_hash is not None

    async def add_pairing(self, pairing: Pairing) -> None:
        await self.sweep_pairings()
        held = self._pairings.get(pairing.pairing_hash)
        if held is not None and held.account_id != pairing.account_id:
            raise Conflict("another account has a pairing with that id")
        mine = [p for p in self._pairings.values() if p.account_id == pairing.account_id]
        if held is None and len(mine) >= MAX_PAIRINGS:
            raise LimitReached("the account has as many open pairings as it may have")
        self._pairings[pairing.pairing_hash] = pairing

    async def take_pairing(self, pairing_hash: bytes) -> Pairing:
        await self.sweep_pairings()
        try:
            return self._pairings.pop(pairing_hash)
        except KeyError:
            raise NotFound("no such pairing") from None

    async def sweep_pairings(self) -> int:
        gone = [key for key, one in self._pairings.items() if one.expires <= self._clock()]
        for key in gone:
            del self._pairings[key]
        return len(gone)

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

    async def remove_boxes(self, account_id: int, names: Collection[str]) -> None:
        for name in names:
            self._person(account_id).boxes.pop(name, None)
