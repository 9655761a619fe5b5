#!/usr/bin/env python3
"""Open one sealed message with gpg alone; written from docs/specs/sealed-message.md.

reference_reader.py ARRIVAL_KEY [DEVICE_KEY] < message-as-sealed-IMAP-serves-it > delivered-octets
Public keys in hex, the second for what the owner's device made; the owner's secret key is in gpg's
key ring. Exit code 0 only if hash and signature are right.
"""

import base64
import hashlib
import json
import re
import subprocess
import sys

LABEL = b"e2email arrival signature v1\0"
FIELD = re.compile(
    rb"^E2email-Envelope: 1; id=([0-9a-f]{32}); policy=[a-z]+;\r\n((?: [^\r\n]+\r\n)+)", re.M
)
ARMOR = re.compile(
    rb"^-----BEGIN PGP MESSAGE-----\r\n.*?^-----END PGP MESSAGE-----\r\n", re.M | re.S
)

# Ed25519, RFC 8032 §5.1
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]


def add(a: Point, b: Point) -> Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g, h = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % P, k * m % P, j * k % P, i * m % P


def times(n: int, a: Point) -> Point:
    total = (0, 1, 1, 0)
    while n:
        if n & 1:
            total = add(total, a)
        a, n = add(a, a), n >> 1
    return total


def point(octets: bytes) -> Point:
    number = int.from_bytes(octets, "little")
    y, sign = number % 2**255, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        sys.exit("not a point of the curve")
    x = P - x if x % 2 != sign else x
    return x, y, 1, x * y % P


def is_signed(public: bytes, data: bytes, signature: bytes) -> bool:
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(r + public + data).digest(), "little") % ORDER
    base = point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    left, right = times(s, base), add(point(r), times(k, point(public)))
    same = all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))
    return s < ORDER and same


def gpg(message: bytes) -> bytes:
    command = ["gpg", "--batch", "--quiet", "--decrypt"]
    run = subprocess.run(command, input=message, capture_output=True, check=False)
    return run.stdout if run.returncode == 0 else sys.exit(run.stderr.decode(errors="replace"))


def restore(body: bytes, changes: list[tuple[int, str, str]]) -> bytes:
    for offset, removed, inserted in changes:  # in order: what is left of each is restored by then
        old, new = inserted.encode("latin-1"), removed.encode("latin-1")
        if body[offset : offset + len(old)] != old:
            sys.exit("a recorded change does not fit")
        body = body[:offset] + new + body[offset + len(old) :]
    return body


message = sys.stdin.buffer.read()
field = FIELD.search(message) or sys.exit("no envelope field")
signed, envelope = gpg(base64.b64decode(field[2].translate(None, b" \r\n"))).split(b"\n", 1)
summary = json.loads(envelope.split(b"\n", 1)[0])
signature = base64.b64decode(json.loads(signed)["signature"])
key = bytes.fromhex(sys.argv[2 if summary["arrival"]["origin"] == "device" else 1])
if len(signature) != 64 or not is_signed(key, LABEL + envelope, signature):
    sys.exit("the envelope is not signed by this key")
if summary["version"] != 1 or summary["id"] != field[1].decode():
    sys.exit("the envelope belongs to another record")
octets = message[field.end() :]
if summary["body"] != "verbatim":
    octets = restore(gpg((ARMOR.search(octets) or sys.exit("no armor"))[0]), summary["changes"])
if hashlib.sha256(octets).hexdigest() != summary["sha256"]:
    sys.exit("the octets are not those that were delivered")
sys.stdout.buffer.write(octets)
