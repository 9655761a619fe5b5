"""Opening in a child: hostile messages fail, alone; the next good one opens."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import pytest

from e2email_crypto._child import Answer
from e2email_crypto.child_process import ChildGone
from e2email_crypto.errors import BadKey, OpenFailed
from e2email_crypto.gate import recipient
from e2email_crypto.keyedit import Identity, new_identity
from e2email_crypto.open import Opened, OpenPool, OpenWorker, _result
from e2email_crypto.packets import UNTOLD
from e2email_crypto.seal import seal
from e2email_crypto.verify import SignatureState
from support import forge, gpg
from support import forge_mail as mail
from support.forge import NOW, SOON, packet

ANN = forge.person()
SEALED = mail.sealed(ANN.cert, mail.literal(b"good mail"))
# enough for the libraries and a few MiB of mail; small, so that bombs end soon
SMALL = 200 * 1024 * 1024


@pytest.fixture(scope="module")
def worker():
    with OpenWorker(ANN.tsk, memory=SMALL) as made:
        yield made


@pytest.fixture(scope="module")
def modern() -> Identity:
    return new_identity("ben@example.org", "Ben", NOW, "modern")


def pid(worker: OpenWorker) -> int:
    return worker._child._process.pid


def python(code: str) -> str:
    """What a bare interpreter prints for `code`."""
    code = f"import sys; sys.path[:] = {sys.path!r}; {code}"
    command = [sys.executable, "-I", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def refused(worker: OpenWorker, message: bytes) -> OpenFailed:
    with pytest.raises(OpenFailed) as caught:
        worker.open(message)
    assert str(caught.value) == "the message cannot be opened"
    assert caught.value.__cause__ is None
    return caught.value


def test_a_good_message(worker: OpenWorker) -> None:
    opened = worker.open(SEALED)
    assert opened.plaintext == b"good mail"
    assert opened.key_id == ANN.subkeys[0][0].key_id
    assert opened.key_ids == {opened.key_id}
    assert opened.signatures == ()


def test_repr_tells_no_mail_and_no_key(worker: OpenWorker) -> None:
    assert "good" not in repr(worker.open(SEALED))
    assert repr(worker) == "OpenWorker(1 keys)"


REFUSED = {
    "plain literal": mail.literal(b"clear"),
    "plain compressed literal": mail.deflated(mail.literal(b"clear")),
    "no integrity protection (SED)": mail.sed(ANN.cert, mail.literal(b"clear")),
    "no MDC": mail.sealed(ANN.cert, mail.literal(b"clear" * 20), mdc=False),
    "two literals": mail.sealed(ANN.cert, mail.literal(b"a") + mail.literal(b"b")),
    "literal before": mail.literal(b"clear") + SEALED,
    "literal after": SEALED + mail.literal(b"clear"),
    "encrypted in encrypted": mail.sealed(ANN.cert, SEALED),
    "no packets inside": mail.sealed(ANN.cert, b"hello, no packets here"),
    "nothing inside": mail.sealed(ANN.cert, b""),
    "for somebody else": mail.sealed(forge.person().cert, mail.literal(b"x")),
    "wrong session key": mail.pkesk(ANN.cert, bytes(32)) + SEALED[SEALED.index(b"\xd2\xff") :],
    "empty": b"",
    "junk": os.urandom(1000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(worker: OpenWorker, name: str) -> None:
    before = pid(worker)
    assert refused(worker, REFUSED[name]).final
    assert pid(worker) == before
    assert worker.open(SEALED).plaintext == b"good mail"


def small_message(version: int, modern: Identity) -> tuple[bytes, bytes]:
    """(secret key, sealed b"text" * 8) in SEIPD of that version."""
    if version == 1:
        return ANN.tsk, seal(b"text" * 8, [recipient(ANN.cert, NOW)])
    return modern.tsk, seal(b"text" * 8, [recipient(modern.cert, SOON)])


@pytest.mark.parametrize("version", [1, 2])
def test_every_bit_flip_gives_the_true_text_or_none(version: int, modern: Identity) -> None:
    tsk, message = small_message(version, modern)
    flipped = []
    for position in range(len(message) * 8):
        octets = bytearray(message)
        octets[position // 8] ^= 1 << position % 8
        flipped.append(bytes(octets))
    with OpenWorker(tsk, memory=SMALL) as worker:
        results = list(worker.open_many(flipped))
        texts = [r.plaintext for r in results if isinstance(r, Opened)]
        assert set(texts) <= {b"text" * 8}
        assert len(texts) < len(flipped) // 20
        assert worker.open(message).plaintext == b"text" * 8


@pytest.mark.parametrize("version", [1, 2])
def test_every_truncation_fails(version: int, modern: Identity) -> None:
    """Among them the cuts that make pysequoia panic and refuse all mail after."""
    tsk, message = small_message(version, modern)
    with OpenWorker(tsk, memory=SMALL) as worker:
        cuts = [message[:end] for end in range(len(message))]
        assert all(isinstance(r, OpenFailed) for r in worker.open_many(cuts))
        assert worker.open(message).plaintext == b"text" * 8


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_bomb_takes_its_child_only(worker: OpenWorker, rounds: int) -> None:
    bomb = mail.sealed(ANN.cert, mail.bomb(512 << 20, rounds))
    assert len(bomb) < 600_000
    before = pid(worker)
    assert not refused(worker, bomb).final
    assert worker.open(SEALED).plaintext == b"good mail"
    assert pid(worker) != before


def test_a_bomb_below_the_memory_limit_meets_the_size_limit(worker: OpenWorker) -> None:
    inflated = mail.sealed(ANN.cert, mail.bomb(8 << 20))
    with pytest.raises(OpenFailed):
        worker.open(inflated, max_plaintext=(8 << 20) - 1)
    assert len(worker.open(inflated, max_plaintext=8 << 20).plaintext) == 8 << 20


def test_bombs_between_good_messages() -> None:
    bomb = mail.sealed(ANN.cert, mail.bomb(512 << 20))
    good = [mail.sealed(ANN.cert, mail.literal(b"%d" % n)) for n in range(6)]
    batch = [good[0], bomb, good[1], good[2], b"junk", bomb, *good[3:]]
    with OpenWorker(ANN.tsk, memory=SMALL) as worker:
        results = list(worker.open_many(batch))
    failed = [n for n, r in enumerate(results) if isinstance(r, OpenFailed)]
    assert failed == [1, 4, 5]
    texts = [r.plaintext for r in results if isinstance(r, Opened)]
    assert texts == [b"0", b"1", b"2", b"3", b"4", b"5"]


def test_deep_nesting_of_compression(worker: OpenWorker) -> None:
    inner = mail.literal(b"deep")
    for _ in range(3000):
        inner = packet(8, b"\0" + inner)  # uncompressed, in a compression packet
    with contextlib.suppress(OpenFailed):
        assert worker.open(mail.sealed(ANN.cert, inner)).plaintext == b"deep"
    assert worker.open(SEALED).plaintext == b"good mail"


def test_64_sessions_of_which_ours_is_the_last(worker: OpenWorker) -> None:
    other = forge.person()
    start = SEALED.index(b"\xd2\xff")
    bogus = mail.pkesk(ANN.cert, bytes(32))  # names our key, and carries another session key
    foreign = mail.pkesk(other.cert, bytes(32))
    message = bogus * 32 + foreign * 31 + SEALED
    opened = worker.open(message)
    assert opened.plaintext == b"good mail"
    assert opened.key_ids == {ANN.subkeys[0][0].key_id, other.subkeys[0][0].key_id, UNTOLD}
    assert refused(worker, foreign + message).final
    assert SEALED[start:] in message


def test_mail_to_old_expired_and_revoked_subkeys_opens() -> None:
    key = forge.Forged()
    old = key.add(lifetime=10 * forge.DAY)
    revoked = key.add()
    key.revoke(1, created=NOW - forge.DAY)
    current = key.add()
    with OpenWorker(key.tsk) as worker:
        for subkey in (old, revoked, current):
            alone = forge.Forged(primary=key.primary)
            alone.add(subkey)
            opened = worker.open(mail.sealed(alone.cert, mail.literal(b"text")))
            assert (opened.plaintext, opened.key_id) == (b"text", subkey.key_id)


def test_several_secret_keys(modern: Identity) -> None:
    with OpenWorker(ANN.tsk, modern.tsk) as worker:
        assert worker.open(SEALED).plaintext == b"good mail"
        assert worker.open(seal(b"v6", [recipient(modern.cert, SOON)])).plaintext == b"v6"


def test_a_hidden_recipient_is_found(worker: OpenWorker) -> None:
    id_at = SEALED.index(bytes.fromhex(ANN.subkeys[0][0].key_id))
    hidden = SEALED[:id_at] + bytes(8) + SEALED[id_at + 8 :]
    opened = worker.open(hidden)
    assert (opened.plaintext, opened.key_id, opened.key_ids) == (b"good mail", "", {UNTOLD})


@pytest.mark.parametrize(
    "tsk", [b"", b"junk", ANN.cert, ANN.tsk[:100]], ids=str.split("empty junk public cut")
)
def test_a_secret_key_that_cannot_be_read(tsk: bytes) -> None:
    with pytest.raises(BadKey):
        OpenWorker(tsk)
    with pytest.raises(BadKey):
        OpenWorker(ANN.tsk, tsk)
    with pytest.raises(BadKey):
        OpenPool(2, tsk)


# --- the child -------------------------------------------------------------------------------


def test_a_child_killed_while_idle_costs_no_message(worker: OpenWorker) -> None:
    os.kill(pid(worker), signal.SIGKILL)
    worker._child._process.wait()
    assert worker.open(SEALED).plaintext == b"good mail"


def test_a_stopped_child_is_late_and_replaced() -> None:
    with OpenWorker(ANN.tsk, deadline=0.3) as worker:
        os.kill(pid(worker), signal.SIGSTOP)
        assert not refused(worker, SEALED).final
        assert worker.open(SEALED).plaintext == b"good mail"


def nonsense(worker: OpenWorker) -> None:
    """The next exchange ends the child."""
    worker._child._received += b"\0\0\xff" + b"\xff" * 20


def test_a_child_that_answers_nonsense_is_replaced() -> None:
    with OpenWorker(ANN.tsk) as worker:
        nonsense(worker)
        assert not refused(worker, SEALED).final
        assert worker.open(SEALED).plaintext == b"good mail"


def test_alone_is_a_message_that_ended_a_fresh_child() -> None:
    with OpenWorker(ANN.tsk) as worker:
        nonsense(worker)
        assert refused(worker, SEALED).alone
        assert worker.open(SEALED).plaintext == b"good mail"
        nonsense(worker)  # of a child that had answered before
        assert not refused(worker, SEALED).alone
        worker._child = worker._start()
        nonsense(worker)
        first, second = worker.open_many([SEALED] * 2)
        assert isinstance(first, OpenFailed)
        assert not first.alone
        assert isinstance(second, Opened)


def test_a_fresh_child_has_met_no_message(worker: OpenWorker) -> None:
    assert worker.open(SEALED).plaintext == b"good mail"
    used = pid(worker)
    assert worker.open(SEALED, fresh=True).plaintext == b"good mail"
    assert pid(worker) != used


def test_a_child_that_does_not_start_is_no_messages_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def gone(*_: object) -> None:
        tries.append(1)
        raise ChildGone

    with OpenWorker(ANN.tsk) as worker:
        worker._child.end()
        with monkeypatch.context() as broken:
            broken.setattr("e2email_crypto.open.Child", gone)
            failed = [*worker.open_many([SEALED] * 3)]
            assert len(tries) == 1
            failed.append(refused(worker, SEALED))
        for one in failed:
            assert isinstance(one, OpenFailed)
            assert (one.final, one.alone) == (False, False)
        assert worker.open(SEALED).plaintext == b"good mail"


@pytest.mark.parametrize(
    "verdicts",
    [b"[" * 60_000, b"{", b"[1]", b'[["valid", "A", "B"]]', b'[["trusted", "A", "B", 1]]', b"1"],
    ids=["deep", "cut", "number", "short", "unknown", "scalar"],
)
def test_verdicts_that_our_code_does_not_write(verdicts: bytes) -> None:
    answer = Answer(b"text", "", (), verdicts)
    assert isinstance(_result(answer), OpenFailed)
    assert "text" not in repr(answer)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_is_confined(worker: OpenWorker) -> None:
    worker.open(SEALED)
    with open(f"/proc/{pid(worker)}/limits") as file:
        limits = {line[:25].strip(): line[25:].split()[:2] for line in file}
    assert limits["Max core file size"] == ["0", "0"]
    assert limits["Max address space"] == [str(SMALL)] * 2
    with open(f"/proc/{pid(worker)}/cmdline", "rb") as file:
        assert ANN.tsk[:40] not in file.read()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every process")
def test_the_child_cannot_be_read(worker: OpenWorker) -> None:
    with pytest.raises(PermissionError), open(f"/proc/{pid(worker)}/environ", "rb") as file:
        file.read()


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_the_child_is_not_dumpable() -> None:
    get = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    assert python(get) == "1"
    assert python(f"from e2email_crypto import worker; worker._harden({SMALL}); {get}") == "0"


def test_closing_ends_the_child() -> None:
    worker = OpenWorker(ANN.tsk)
    process = worker._child._process
    worker.close()
    assert process.returncode is not None
    with pytest.raises(ValueError, match="closed"):
        worker.open(SEALED)
    assert process.returncode is not None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_child_ends_with_its_parent() -> None:
    printed = python(
        "import os; from e2email_crypto.open import OpenWorker; "
        "w = OpenWorker(); print(w._child._process.pid, flush=True); os._exit(0)"
    )
    child = int(printed)
    for _ in range(500):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{child}/stat") as file:
            if file.read().split()[2] == "Z":  # nobody here to reap it
                return
        threading.Event().wait(0.01)
    pytest.fail("the child outlived its parent")


def test_what_the_child_imports() -> None:
    loaded = set(python("import sys, e2email_crypto.worker; print(*sys.modules)").split())
    assert "openpgp" in loaded
    unwanted = {"pgpy", "pysequoia", "nacl", "asyncio", "logging", "socket", "ssl", "email"}
    assert not loaded & unwanted


# --- several callers -------------------------------------------------------------------------


def test_threads_share_a_worker(worker: OpenWorker) -> None:
    texts = [b"%d" % n for n in range(200)]
    messages = [mail.sealed(ANN.cert, mail.literal(t)) for t in texts]
    seen: dict[int, bytes] = {}

    def run(start: int) -> None:
        for n in range(start, 200, 4):
            seen[n] = worker.open(messages[n]).plaintext

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [seen[n] for n in range(200)] == texts


def test_open_many_lets_others_in_between(worker: OpenWorker) -> None:
    results = worker.open_many([SEALED] * 300)
    assert isinstance(next(results), Opened)
    assert worker.open(SEALED).plaintext == b"good mail"
    assert len(list(results)) == 299


def test_a_pool_goes_on_while_one_worker_is_busy() -> None:
    with OpenPool(2, ANN.tsk, deadline=2) as pool:
        stuck = pool._workers[1]
        os.kill(pid(stuck), signal.SIGSTOP)
        late = threading.Thread(target=lambda: list(pool.open_many([SEALED])))
        late.start()
        while pool._idle.qsize() == 2:
            threading.Event().wait(0.001)
        assert pool.open(SEALED).plaintext == b"good mail"
        assert late.is_alive()
        late.join()
        assert [type(r) for r in pool.open_many([SEALED, b"", SEALED])] == [
            Opened,
            OpenFailed,
            Opened,
        ]


# --- signatures inside -----------------------------------------------------------------------


def test_a_signature_by_a_known_and_by_an_unknown_signer() -> None:
    from e2email_crypto import _rpgp

    sender = new_identity("cy@example.org", "Cy", NOW)
    made = _rpgp.composed.MessageBuilder.from_bytes("", b"signed text").sign_binary()
    made = made.sign(_rpgp.composed.SignedSecretKey.from_bytes(sender.tsk), None, "sha512")
    to = _rpgp.composed.SignedPublicKey.from_bytes(ANN.cert).public_subkeys[0]
    message = made.seipd_v1("aes256").encrypt_to_key(to).to_vec()
    with OpenWorker(ANN.tsk) as worker:
        (known,) = worker.open(message, certs=[ANN.cert, sender.cert], now=SOON).signatures
        (unknown,) = worker.open(message, certs=[ANN.cert], now=SOON).signatures
        (none,) = worker.open(message).signatures
    assert (known.state, known.fingerprint) == (SignatureState.VALID, sender.fingerprint)
    assert unknown == none
    assert (unknown.state, unknown.key_hint) == (
        SignatureState.UNKNOWN_SIGNER,
        sender.fingerprint,
    )


def test_gpg_opens_what_we_seal_and_we_open_what_gpg_made() -> None:
    ann = new_identity("ann@example.org", "Ann", NOW)
    cy = new_identity("cy@example.org", "Cy", NOW)
    text = b"line one\r\nline two\r\n" * 50
    with gpg.keyring() as ring, OpenWorker(ann.tsk) as worker:
        ring.ok("--import", stdin=ann.tsk)
        ring.ok("--import", stdin=cy.tsk)
        sealed = seal(text, [recipient(ann.cert, NOW)])
        assert ring.ok("--decrypt", stdin=sealed) == text
        for options in (["-z", "0"], ["--compress-algo", "zip"], ["--textmode"]):
            made = ring.ok(*options, "-r", ann.fingerprint, "-u", cy.fingerprint, "-se", stdin=text)
            opened = worker.open(made, certs=[cy.cert])
            assert opened.plaintext == text
            (verdict,) = opened.signatures
            assert verdict.state is SignatureState.VALID
            assert verdict.fingerprint == cy.fingerprint
        plain = ring.ok("-r", ann.fingerprint, "-e", stdin=text)
        assert worker.open(plain).signatures == ()
        hidden = ring.ok("-R", ann.fingerprint, "-e", stdin=text)
        assert worker.open(hidden).plaintext == text
        old = ring.ok("--rfc2440", "--disable-mdc", "-r", ann.fingerprint, "-e", stdin=text)
        assert b"mdc_method" not in ring.run("--list-packets", stdin=old).stdout
        refused(worker, old)
