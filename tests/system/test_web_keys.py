"""A running server gives its users' keys to strangers, and to each other."""

import socket
from http.client import HTTPSConnection
from ssl import create_default_context

from e2email_client.api import AccountApi, Login
from e2email_client.directory import look_up
from e2email_client.wkd import urls
from e2email_crypto.cert import inspect_cert
from support.system import DOMAIN, Server


def get(house: Server, path: str) -> tuple[int, bytes]:
    port = house.port("https")
    connection = HTTPSConnection("localhost", port)
    raw = socket.create_connection(("localhost", port), 20)
    context = create_default_context(cafile=str(house.ca))
    connection.sock = context.wrap_socket(raw, server_hostname="localhost")
    try:
        connection.request("GET", path, headers={"Host": DOMAIN})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_key_of_a_user(house: Server, users) -> None:
    anna = users("anna")
    (own,) = [one.fingerprint for one in anna.unlocked().vault.identities]
    path = urls(anna.address)[1].partition(DOMAIN)[2]
    status, octets = get(house, path)
    assert status == 200
    assert inspect_cert(octets, 0).fingerprint == own
    assert get(house, "/.well-known/openpgpkey/policy") == (200, b"")
    assert get(house, path.replace("anna", "nobody"))[0] == 404

    ben = users("ben").unlocked()
    listed = look_up(AccountApi(ben.server), Login.device(ben.device_token), anna.address)
    assert listed is not None
    assert [inspect_cert(one, 0).fingerprint for one in listed.certificates] == [own]
