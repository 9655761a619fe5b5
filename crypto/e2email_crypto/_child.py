"""The parent's end of the opening worker: its keys, its requests, its answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from .child_process import START_SECONDS, ChildGone, ChildProcess, start
from .errors import BadKey
from .worker import ANSWER, LENGTH, NO_KEY, OPENED

# 16 signatures with fingerprints in JSON are 3 KiB
MAX_VERDICTS = 64 * 1024
_KEY_ID = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer frame; `plaintext` is None if the message was refused."""

    plaintext: bytes | None
    key_id: str
    key_ids: tuple[str, ...]
    verdicts: bytes

    def __repr__(self) -> str:
        return f"Answer({'refused' if self.plaintext is None else len(self.plaintext)})"


_REFUSED = Answer(None, "", (), b"")


class Child(ChildProcess):
    """One running worker child. Not thread-safe."""

    def __init__(self, tsks: Sequence[bytes], memory: int, deadline: float) -> None:
        """Start it and hand the keys over its pipe.

        Raises BadKey if it cannot read one of them, ChildGone or OSError if it does not start.
        """
        code = f"from e2email_crypto import worker; worker.main({int(memory)})"
        super().__init__(start(code))
        self.fresh = True  # no message was sent to it yet
        self._deadline = deadline
        self._hand_over(tsks)

    def _hand_over(self, tsks: Sequence[bytes]) -> None:
        frames = [LENGTH.pack(len(tsks))]
        frames += (part for tsk in tsks for part in (LENGTH.pack(len(tsk)), tsk))
        read: list[int] = []
        self._converse(frames, read, 1, self._take_length, max(self._deadline, START_SECONDS))
        if read != [len(tsks)]:
            self.end()
            raise BadKey("a secret key that cannot be read")

    def exchange(
        self, requests: Sequence[Sequence[bytes]], answers: list[Answer], most: int
    ) -> None:
        """Send all requests; append their answers in order, none with more than `most` octets.

        Raises ChildGone; what was answered before that is in `answers`.
        """
        self.fresh = False
        parts = [part for request in requests for part in request]
        self._converse(
            parts, answers, len(requests), lambda: self._take_answer(most), self._deadline
        )

    def _take_length(self) -> int | None:
        if len(self._received) < LENGTH.size:
            return None
        (value,) = LENGTH.unpack_from(self._received)
        del self._received[: LENGTH.size]
        return int(value)

    def _take_answer(self, most: int) -> Answer | None:
        """The first complete answer received; ChildGone if it claims more than it may."""
        if len(self._received) < ANSWER.size:
            return None
        status, count, index, size, signed = ANSWER.unpack_from(self._received)
        if size > most or signed > MAX_VERDICTS or not (index < count or index == NO_KEY):
            raise ChildGone
        ids_end = ANSWER.size + count * _KEY_ID
        end = ids_end + size + signed
        if len(self._received) < end:
            return None
        with memoryview(self._received) as view:
            ids = view[ANSWER.size : ids_end].hex().upper()
            plaintext, verdicts = (
                bytes(view[ids_end : ids_end + size]),
                bytes(view[end - signed : end]),
            )
        del self._received[:end]
        if status != OPENED:
            return _REFUSED
        key_ids = tuple(ids[i : i + 2 * _KEY_ID] for i in range(0, len(ids), 2 * _KEY_ID))
        return Answer(plaintext, "" if index == NO_KEY else key_ids[index], key_ids, verdicts)
