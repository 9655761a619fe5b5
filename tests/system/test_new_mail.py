"""Mail that comes while the proxy runs is shown by itself, each one, without more coming after."""

import time

from support.system import Server, count, eventually, literal, without_ours


def mail(number: int) -> bytes:
    return b"Subject: %d\r\n\r\nNumber %d.\r\n" % (number, number)


def test_each_mail_is_announced_when_it_comes(house: Server, users) -> None:
    """The mailbox was read before, so that only what is new is asked for."""
    user = users("waiting")
    house.deliver(mail(0), user.address)
    with user.proxy() as proxy, proxy.imap() as client:
        assert eventually(lambda: count(client) == 1)
        time.sleep(1)  # until the proxy waits in IDLE
        for number in range(1, 6):
            house.deliver(mail(number), user.address)
            assert eventually(lambda seen=number: count(client) == seen + 1, 20)
            _, fetched = client.fetch(str(number + 1), "(BODY.PEEK[])")
            assert without_ours(literal(fetched)) == mail(number)
