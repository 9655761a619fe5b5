"""Backup files: every flipped octet, every cut, one mail at a time."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import pytest

from e2email_crypto import _mail_stream, _wire, backup, errors, kdf, recovery, slot
from e2email_crypto.backup import Content, Mail, Settings
from e2email_crypto.slot import SlotKind

NAMES = ("alice@example.test", "mail.example.test")
SECRET = bytes(range(16))
WRAP = recovery.split(SECRET, *NAMES).wrap
KEY = slot.AccountKey(b"K" * 32)
RECOVERY = slot.wrap(KEY, SlotKind.RECOVERY, WRAP, *NAMES, generation=2)
PARAMS = kdf.Params(3, kdf.M_KIB_MIN, bytes(16))
PASSPHRASE = slot.wrap(KEY, SlotKind.PASSPHRASE, b"W" * 32, *NAMES, PARAMS, generation=1)
NOW = 1_780_000_000
CONTENT = Content(
    vault=b"canary vault",
    statements=(b"canary entry 1", b"canary entry 2"),
    certificates=(b"canary certificate",),
    revocations=(b"canary revocation",),
    settings=Settings("https://mail.example.test", 993, 0, 465, 587, b"\4" * 32, b"canary ca"),
    state=b"canary state",
    state_counter=7,
)
MAILS = (
    Mail("INBOX", ("\\Seen", "$Forwarded"), NOW, b"\1" * 16, b"canary mail one\r\n"),
    Mail("Entwürfe", (), 0, b"\2" * 16, b""),
)


def written(mail: tuple[Mail, ...] | None = MAILS, content: Content = CONTENT) -> bytes:
    slots = [RECOVERY, PASSPHRASE]
    return b"".join(backup.write(KEY, *NAMES, NOW, slots, content, mail))


FILE = written()
SMALL = written(None)
FRONT = len(SMALL) - backup.DIGEST_SIZE


def opened(data: bytes, key: slot.AccountKey = KEY) -> tuple[backup.Opened, list[Mail]]:
    found = backup.open([data], key)
    return found, list(found.mail or ())


def cause(data: bytes, key: slot.AccountKey = KEY) -> type[Exception]:
    with pytest.raises(errors.SecretError) as caught:
        opened(data, key)
    return caught.type


def redigested(data: bytes) -> bytes:
    """The digest made new, as anybody can."""
    return data[:-32] + hashlib.sha256(data[:-32]).digest()


def test_there_and_back() -> None:
    found, mail = opened(FILE)
    assert (found.content, tuple(mail)) == (CONTENT, MAILS)
    head = found.head
    assert (head.account, head.server_name, head.created) == (*NAMES, NOW)
    assert head.has_mail
    by_words = recovery.from_words(" ".join(recovery.to_words(SECRET)))
    wrap = recovery.split(by_words, head.account, head.server_name).wrap
    made = head.slot(SlotKind.RECOVERY)
    assert made is not None
    assert slot.unwrap(made, wrap, head.account, head.server_name) == KEY
    assert head.slot(SlotKind.PASSPHRASE) == PASSPHRASE
    assert head.slot(SlotKind.KEYRING) is None


def test_without_mail() -> None:
    found = backup.open([SMALL], KEY)
    assert found.content == CONTENT
    assert found.mail is None
    assert not backup.read_head([SMALL]).has_mail
    bare = replace(CONTENT, state=None, state_counter=0, statements=(), certificates=())
    bare = replace(bare, revocations=(), settings=replace(CONTENT.settings, ca=None))
    assert backup.open([written(None, bare)], KEY).content == bare
    assert opened(written(()))[1] == []


def test_what_is_readable_without_a_secret_is_the_head() -> None:
    head = backup.read_head([FILE])
    assert backup.read_head([FILE[: len(FILE) // 2 + FRONT // 2]]) == head
    assert backup.verify([FILE]) == head
    for clear in (b"canary", b"INBOX", b"Entw", b"https", b"Seen"):
        assert clear not in FILE


def test_every_flipped_bit_is_an_accident_and_said_to_be_one() -> None:
    for at in range(len(FILE)):
        bent = FILE[:at] + bytes([FILE[at] ^ 1 << at % 8]) + FILE[at + 1 :]
        expected = errors.UnknownVersion if at == 9 else errors.Damaged
        if at == FRONT + 9:
            expected = errors.UnknownVersion  # of the stream of mail
        assert cause(bent) is expected
        with pytest.raises(errors.SecretError) as caught:
            backup.verify([bent])
        assert caught.type is (errors.UnknownVersion if at == 9 else errors.Damaged)


def test_every_octet_changed_on_purpose_is_refused() -> None:
    """Checksum and digest made new: now the other layers answer."""
    seen = set()
    for at in range(FRONT - 8):
        front = _wire.finish(FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 : FRONT - 8])
        seen.add(cause(redigested(front + FILE[FRONT:])))
    for at in range(FRONT, len(FILE) - 32):
        seen.add(cause(redigested(FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :])))
    assert seen == {
        errors.Damaged, errors.WrongSecret, errors.UnknownVersion, errors.OtherAccount,
    }  # fmt: skip


def test_every_cut_is_damage() -> None:
    for data in (FILE, SMALL):
        for end in range(len(data)):
            assert cause(data[:end]) is errors.Damaged
            with pytest.raises(errors.Damaged):
                backup.verify([data[:end]])


def test_octets_behind_the_end_are_damage() -> None:
    for data in (FILE, SMALL):
        for more in (b"\0", b"x" * 32, data):
            assert cause(data + more) is errors.Damaged
            assert cause(redigested(data[:-32] + more + bytes(32))) is errors.Damaged


def test_a_wrong_secret_and_other_versions() -> None:
    assert cause(FILE, slot.AccountKey(b"X" * 32)) is errors.WrongSecret
    for version in (0, 2, 255):
        assert cause(FILE[:9] + bytes([version]) + FILE[10:]) is errors.UnknownVersion
    for other in (b"", b"-----BEGIN PGP MESSAGE-----", RECOVERY, b"e2email\0"):
        assert cause(other) is errors.Damaged


def test_an_account_put_on_from_another_file() -> None:
    """The slots inside know whose they are."""
    bob = FILE[:-32].replace(b"alice@example.test", b"bobby@example.test", 1)
    front = _wire.finish(bob[: FRONT - 8])
    with pytest.raises(errors.OtherAccount):
        backup.read_head([front])


@pytest.mark.parametrize("name", ["alice\x1b[2J", "alice\n", "alice\u202e", "\udc80"])
def test_a_name_that_would_act_on_a_terminal_is_no_name(name: str) -> None:
    with pytest.raises(ValueError):
        backup.write(KEY, name, NAMES[1], NOW, [], CONTENT)
    if name.encode(errors="replace").endswith(b"?"):
        return
    names = name, NAMES[1]
    made = slot.wrap(KEY, SlotKind.RECOVERY, WRAP, *names, generation=1)
    header = _wire.head(b"K", 1) + bytes([0]) + NOW.to_bytes(8)
    header += _wire.pack(*map(_wire.name, names)) + b"\1" + _wire.pack(made)
    payload = backup._backup_content.encode(CONTENT)
    header += (len(payload) + backup._box.EXTRA).to_bytes(4)
    front = backup._box.seal(KEY.raw, backup._LABEL, header, payload)
    with pytest.raises(errors.Damaged, match="normal form"):
        backup.read_head([front])


def test_the_mail_of_another_backup_does_not_fit() -> None:
    other = written(MAILS[:1])
    mixed = redigested(FILE[:FRONT] + other[FRONT:])
    assert backup.verify([mixed]).account == NAMES[0]  # whole, and yet:
    assert cause(mixed) is errors.Damaged


def test_without_its_mail_a_backup_with_mail_is_not_whole() -> None:
    assert cause(redigested(FILE[:FRONT] + bytes(32))) is errors.Damaged


@pytest.mark.parametrize("octets", [b"\xff\xff\xff\xff", b"\0\0\0\1"])
def test_a_slot_that_asks_for_huge_or_little_memory_is_refused(
    octets: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kdf._sodium, "argon2id", lambda *_: pytest.fail("argon2 ran"))
    m_kib = PARAMS.encode()[1:9]
    bent = FILE[: FRONT - 8].replace(m_kib, m_kib[:4] + octets)
    at = PASSPHRASE.index(m_kib) + 4
    wrong = _wire.finish(PASSPHRASE[:at] + octets + PASSPHRASE[at + 4 : -8])
    front = _wire.finish(bent.replace(PASSPHRASE[:at] + octets + PASSPHRASE[at + 4 :], wrong))
    with pytest.raises(errors.KdfRefused):
        backup.read_head([front])


def test_one_mail_at_a_time_is_written_and_read() -> None:
    given: list[int] = []

    def mails() -> Iterator[Mail]:
        for number in range(20):
            given.append(number)
            yield replace(MAILS[0], octets=bytes([number]) * 200_000)

    pieces = backup.write(KEY, *NAMES, NOW, [RECOVERY], CONTENT, mails())
    data, most = b"", 0
    for piece in pieces:
        data += piece
        most = max(most, len(given) * 200_000 - len(data))
    assert most < 2 * 200_000  # what is held back
    read = 0

    def asked() -> Iterator[bytes]:
        nonlocal read
        for start in range(0, len(data), 50_000):
            read += 50_000
            yield data[start : start + 50_000]

    found = backup.open(asked(), KEY)
    assert read < 100_000
    assert found.mail is not None
    for number, mail in enumerate(found.mail):
        assert mail.octets == bytes([number]) * 200_000
        assert read <= (number + 1) * 200_000 + 300_000
    assert number == 19


def test_pieces_of_any_size() -> None:
    for size in (1, 7, 31, 32, 33, 1000):
        pieces = [FILE[at : at + size] for at in range(0, len(FILE), size)]
        assert list(backup.open([b"", *pieces, b""], KEY).mail or ()) == list(MAILS)
        assert backup.verify(pieces) == backup.read_head([FILE])


@pytest.mark.parametrize(
    "change",
    [
        {"vault": bytes(1024 * 1024 + 1)},
        {"statements": (b"same", b"same")},
        {"state": None},
        {"state_counter": 0},
        {"settings": replace(CONTENT.settings, imap_port=65536)},
        {"settings": replace(CONTENT.settings, server_url="")},
        {"settings": replace(CONTENT.settings, server_url="https://a\n")},
        {"settings": replace(CONTENT.settings, arrival_key=b"short")},
    ],
)
def test_content_that_could_not_be_read_is_not_written(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        backup.write(KEY, *NAMES, NOW, [RECOVERY], replace(CONTENT, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"mailbox": ""},
        {"mailbox": "x" * 1025},
        {"flags": ("a b",)},
        {"flags": ("",)},
        {"flags": ("a\tb",)},
        {"flags": ("a", "\x1b[2J")},
        {"flags": ("f" * 8193,)},
        {"flags": ("ä",)},
        {"time": -1},
        {"record_id": b"short"},
    ],
)
def test_mail_that_could_not_be_read_is_not_written(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        written((replace(MAILS[0], **change),))


@pytest.mark.parametrize("name", ["slots", "created"])
def test_misuse_is_a_value_error(name: str) -> None:
    keyring = slot.wrap(KEY, SlotKind.KEYRING, WRAP, *NAMES, generation=1)
    bad: dict[str, list[tuple[int, list[bytes]]]] = {
        "slots": [(NOW, []), (NOW, [PASSPHRASE]), (NOW, [RECOVERY] * 2),
                  (NOW, [RECOVERY, keyring])],
        "created": [(-1, [RECOVERY]), (2**53, [RECOVERY])],
    }  # fmt: skip
    for created, slots in bad[name]:
        with pytest.raises(ValueError):
            backup.write(KEY, *NAMES, created, slots, CONTENT)


def test_a_stream_of_mail_ends_with_its_number() -> None:
    whole = b"".join(_mail_stream.encode(MAILS))
    for bent in (whole[:-1], whole[:-1] + b"\3", whole + b"\0", b"", b"\2" + whole[1:]):
        with pytest.raises(errors.Damaged):
            list(_mail_stream.decode([bent]))
    for at in (1, 10):
        huge = whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]
        with pytest.raises(errors.Damaged, match="too long"):
            list(_mail_stream.decode([huge]))


@pytest.mark.parametrize("flags", [b" ", b"a  b", b"a b ", b"a\tb", b"a\nb", b"\x7f"])
def test_flags_have_one_spelling(flags: bytes) -> None:
    whole = b"".join(_mail_stream.encode(MAILS[:1]))
    before = _wire.pack(b"INBOX", b"\\Seen $Forwarded")
    assert list(_mail_stream.decode([whole])) == [MAILS[0]]
    with pytest.raises(errors.Damaged):
        list(_mail_stream.decode([whole.replace(before, _wire.pack(b"INBOX", flags))]))


def test_nothing_secret_in_a_repr_or_an_error() -> None:
    found, mail = opened(FILE)
    assert "canary" not in f"{found} {mail}"
    payload = b'{"canary":'
    header = FILE[: FRONT - len(backup._backup_content.encode(CONTENT)) - backup._box.EXTRA - 4]
    header += (len(payload) + backup._box.EXTRA).to_bytes(4)
    front = backup._box.seal(KEY.raw, backup._LABEL, header, payload)
    with pytest.raises(errors.Damaged, match="malformed") as caught:
        backup.open([redigested(front + bytes(32))], KEY)
    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__
