"""The two fields in front of every mail."""

import email
import email.policy

import pytest

from e2email_protocol.address import Address
from e2email_server.smtp.delivery import Arrival, Mail
from e2email_server.trace import trace

TIME = 1_795_334_400
ALICE, BOB = Address("alice", "example.test"), Address("bob", "example.test")


def fields(sender=ALICE, recipients=(BOB,), **arrival):
    came = {"peer": "192.0.2.1", "helo": "mail.sender.test", "protocol": "ESMTP", "tls": None}
    mail = Mail("0123456789abcdef", sender, recipients, b"", Arrival(**(came | arrival)))
    return trace(mail, "mx.example.test", TIME)


def test_as_it_stands():
    assert fields() == (
        b"Return-Path: <alice@example.test>\r\n"
        b"Received: from mail.sender.test ([192.0.2.1])\r\n"
        b"\tby mx.example.test with ESMTP\r\n"
        b"\tid 0123456789abcdef\r\n"
        b"\tfor <bob@example.test>;\r\n"
        b"\tSun, 22 Nov 2026 08:00:00 +0000\r\n"
    )


def test_tls_and_the_protocol_are_told():
    octets = fields(protocol="ESMTPS", tls=("TLSv1.3", "TLS_AES_256_GCM_SHA384"))
    assert b" with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n" in octets


def test_several_recipients_are_not_told_of_each_other():
    octets = fields(recipients=(ALICE, BOB))
    assert b"for" not in octets
    assert b"bob" not in octets


def test_a_bounce_comes_from_nobody():
    assert fields(sender=None).startswith(b"Return-Path: <>\r\n")


def test_ipv6():
    assert b"([IPv6:2001:db8::1])" in fields(peer="2001:db8::1")
    assert b"([IPv6:fe80::1])" in fields(peer="fe80::1%eth0")


@pytest.mark.parametrize(
    "helo", ["a", "a.b.", "[192.0.2.1]", "[IPv6:::1]", "under_score", "müller.test"]
)
def test_a_name_that_could_be_one(helo):
    assert b"from " + helo.encode() + b" (" in fields(helo=helo)


@pytest.mark.parametrize("helo", ["", "a:b", "[", "..", "a..b", "a b", "a(", "a\r\nX: y", "\udcff"])
def test_a_name_that_could_not(helo):
    assert fields(helo=helo).count(b"from unknown (") == 1


@pytest.mark.parametrize(
    "sender",
    [Address('a"b\\ c', "sender.test"), Address("grüße", "müller.test"), Address("a@b", "c.test")],
)
def test_an_odd_sender_stays_one_field(sender):
    octets = fields(sender=sender)
    assert octets.count(b"\r\n") == 6
    parsed = email.message_from_bytes(octets + b"\r\n", policy=email.policy.compat32)
    assert parsed.keys() == ["Return-Path", "Received"]
    assert octets.split(b"\r\n")[0] == f"Return-Path: <{sender}>".encode()
