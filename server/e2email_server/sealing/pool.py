"""Where a mail is sealed: in this process while it is quick, else in a worker process.

The OpenPGP libraries hold the interpreter's lock: a mail of 25 MB would stop the whole server for
half a second. docs/specs/smtp.md has the figures.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from e2email_crypto.arrival import ArrivalKey
from e2email_protocol.sealed.record import Record

from .child import SealWorker
from .job import Job, run

INLINE = 64 * 1024  # octets up to which a mail is composed and sealed in about a millisecond,
# unless its sender wants it to take long: 12,000 boundaries in 60 KB cost 0.3 s, 15,000 fields
# 0.05 s. Such mail goes to a worker, too.
QUICK_HEADER = 16 * 1024  # octets; that of real mail is seldom half of it
QUICK_BOUNDARIES = 200  # lines that begin like a boundary; 30 microseconds each
WORKERS = 2  # processes at most; each needs several times the mail it holds
DEADLINE = 60.0  # seconds a mail may take in a worker; 50 MiB take some two


def is_quick(received: bytes) -> bool:
    """Whether a mail of at most INLINE octets takes about as long as others of its size."""
    header = received.find(b"\r\n\r\n", 0, QUICK_HEADER)
    whole = header >= 0 or len(received) <= QUICK_HEADER
    return whole and received.count(b"\n--") <= QUICK_BOUNDARIES


class Sealing:
    """Runs jobs here or in one of the workers, one mail at a time in each."""

    def __init__(
        self, arrival_key: ArrivalKey, *, inline: int = INLINE, deadline: float = DEADLINE
    ) -> None:
        self._arrival_key, self._inline, self._deadline = arrival_key, inline, deadline
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="sealing")
        self.workers = [SealWorker(arrival_key.seed) for _ in range(WORKERS)]
        self._idle: asyncio.LifoQueue[SealWorker] = asyncio.LifoQueue()
        for worker in reversed(self.workers):
            self._idle.put_nowait(worker)
        self._running: set[asyncio.Task[Record]] = set()

    async def seal(self, job: Job) -> Record:
        """Raises SealFailed, also where a worker died or took too long."""
        if len(job.received) <= self._inline and is_quick(job.received):
            return run(job, self._arrival_key)
        # shielded: the worker is busy with it until it is done, whoever still wants the result
        task = asyncio.get_running_loop().create_task(self._in_worker(job))
        self._running.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Record]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, even where the sender went away meanwhile

    async def _in_worker(self, job: Job) -> Record:
        worker = await self._idle.get()
        loop = asyncio.get_running_loop()
        late = loop.call_later(self._deadline, worker.kill)
        try:
            return await loop.run_in_executor(self._threads, worker.seal, job)
        finally:
            late.cancel()
            self._idle.put_nowait(worker)

    def close(self) -> None:
        """End the workers; jobs in them fail."""
        for worker in self.workers:
            worker.kill()
        self._threads.shutdown(wait=False, cancel_futures=True)
