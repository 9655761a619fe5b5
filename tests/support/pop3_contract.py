"""What every POP3 backend must do; a test module inherits it and makes the `place` fixture.

A place has `login()` → Maildrop of an account with MAILS, `wrong()` that logs in with a wrong
password, `remove(uid)` as another program does, `uids()` that are there now, `down()`: whatever
stands behind the backend is gone.
"""

import pytest

from e2email_protocol.pop3 import errors

MAILS = {
    3: b"Subject: one\r\n\r\none\r\n",
    5: b"Subject: two\r\n\r\n" + b"two\r\n" * 50_000,
    9: b"Subject: three\r\n\r\nbare\n.\nlast, without an end",
}


async def whole(maildrop, uid: int) -> bytes:
    return b"".join([piece async for piece in maildrop.retrieve(uid)])


class MaildropContract:
    async def test_sizes_and_octets_are_exact(self, place):
        maildrop = await place.login()
        assert maildrop.uidvalidity == 7
        assert [(one.uid, one.size) for one in maildrop.messages] == [
            (uid, len(octets)) for uid, octets in MAILS.items()
        ]
        assert {uid: await whole(maildrop, uid) for uid in MAILS} == MAILS
        await maildrop.close()

    async def test_a_wrong_password(self, place):
        with pytest.raises(errors.AuthenticationFailed):
            await place.wrong()
        await (await place.login()).close()

    async def test_one_session_at_a_time(self, place):
        first = await place.login()
        with pytest.raises(errors.InUse):
            await place.login()
        with pytest.raises(errors.AuthenticationFailed):
            await place.wrong()
        await first.close()
        await (await place.login()).close()

    async def test_exactly_the_marked_messages_go(self, place):
        maildrop = await place.login()
        await maildrop.delete([3, 9])
        assert await place.uids() == [5]
        assert len(maildrop.messages) == 3
        await maildrop.close()

    async def test_without_delete_nothing_goes(self, place):
        await (await place.login()).close()
        assert await place.uids() == [3, 5, 9]

    async def test_what_another_program_removed(self, place):
        maildrop = await place.login()
        await place.remove(3)
        with pytest.raises(errors.Vanished):
            await whole(maildrop, 3)
        await maildrop.delete([3, 5])
        assert await place.uids() == [9]
        await maildrop.close()

    async def test_nothing_is_removed_while_the_world_is_down(self, place):
        maildrop = await place.login()
        place.down()
        with pytest.raises(errors.Unavailable):
            await maildrop.delete([3])
        await maildrop.close()
        assert await place.uids() == [3, 5, 9]

    async def test_reading_may_stop_anywhere(self, place):
        maildrop = await place.login()
        pieces = maildrop.retrieve(5)
        assert len(await anext(pieces)) < len(MAILS[5])
        await pieces.aclose()
        await maildrop.close()
