"""Works waiting to be computed, and what becomes of them: partial logits or a refusal."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from device_node.errors import BudgetPassed, WorkRefused
from device_node.hosting import Hosting
from device_node.reply import Answer, messages
from device_node.students import Student
from protos import nonn_pb2, tensors

log = logging.getLogger(__name__)

# What takes no longer is computed on the event loop, which pings can spare for so long: the way to another
# thread and back costs 0.1 ms and more.
SHORT_SECONDS: Final = 0.01
# Of several students that take longer in all, some are computed in other threads meanwhile.
ALONE_SECONDS: Final = 0.002

MOST_WAITING_BYTES: Final = 128 * 2**20

Send = Callable[[nonn_pb2.DeviceMessage], Awaitable[None]]
Students = Sequence[tuple[int, Student]]


@dataclass(frozen=True, slots=True)
class Job:
    """received and deadline in seconds of time.monotonic; size in bytes."""

    work: nonn_pb2.Work
    received: float
    deadline: float

    @property
    def size(self) -> int:
        return len(self.work.images.data)


class Worker:
    """At most `window` works wait, and one is computed.

    parallel: threads of the executor. takes_partials: the aggregator takes several answers in one message.
    Bound to one connection: what waits or is being computed is dropped with it.
    """

    def __init__(self, hosting: Hosting, executor: Executor, parallel: int, send: Send) -> None:
        self.window = 1
        self.accepting = True
        self.takes_partials = False
        self._parallel = parallel
        self._hosting = hosting
        self._executor = executor
        self._send = send
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._computing = asyncio.Lock()
        self._waiting_bytes = 0
        self._ended = False

    async def offer(self, work: nonn_pb2.Work, received: float) -> None:
        """Take the work, or say at once that it will not be done. A short one may be done on return."""
        if not self.accepting:
            await self._refuse(work, nonn_pb2.OVERLOADED, "this device is leaving")
        elif self._jobs.qsize() >= self.window or self._waiting_bytes > MOST_WAITING_BYTES:
            await self._refuse(work, nonn_pb2.OVERLOADED, f"{self._jobs.qsize()} works are waiting already")
        else:
            job = Job(work, received, received + work.budget_seconds)
            idle = self._jobs.empty() and not self._computing.locked()
            if idle and self._threads(job) == 1:
                # Waking the task that waits for it would cost more than some students.
                await self._do(job, threads=1)
                return
            self._waiting_bytes += job.size
            self._jobs.put_nowait(job)

    async def run(self) -> None:
        """Compute what is offered, until cancelled."""
        try:
            while True:
                job = await self._jobs.get()
                self._waiting_bytes -= job.size
                await self._do(job, self._threads(job))
                self._jobs.task_done()
        finally:
            self._ended = True

    async def finished(self) -> None:
        """Returns when nothing waits and nothing is being computed."""
        await self._jobs.join()
        async with self._computing:
            pass

    def _threads(self, job: Job) -> int:
        """That share the work, if it is short and leaves each answer the time to wait for all; else 0."""
        work = job.work
        images = work.images.shape[0] if work.images.shape else 0
        students = self._hosting.serving.get(work.bundle_id, {})
        seconds = sum(student.image_seconds for student in students.values()) * images
        in_time = time.monotonic() + 2 * SHORT_SECONDS < job.deadline
        if seconds > SHORT_SECONDS or not in_time:
            return 0
        return min(self._parallel, len(students)) if seconds > ALONE_SECONDS else 1

    async def _do(self, job: Job, threads: int) -> None:
        async with self._computing:
            work = job.work
            students = self._hosting.serving.get(work.bundle_id)
            if not students:
                reason = f"bundle {work.bundle_id[:12]} is not loaded here"
                await self._refuse(work, nonn_pb2.BUNDLE_MISMATCH, reason)
                return
            try:
                images = tensors.decode(work.images, nonn_pb2.UINT8, 4)
            except ValueError as error:
                await self._refuse(work, nonn_pb2.BAD_INPUT, str(error))
                return
            numbered = sorted(students.items())
            if threads:
                await self._do_short(job, numbered, images, threads)
            else:
                await self._do_long(job, numbered, images)

    async def _do_short(self, job: Job, students: Students, images: NDArray[np.uint8], threads: int) -> None:
        """Every thread takes a share of the students, the event loop's own the first.

        And what no other has begun by then: they may have runs in hand that a lost connection left behind.
        What takes longer than was thought, where others use the processor too, is told as far as it has come.
        """
        patient_until = time.monotonic() + 2 * SHORT_SECONDS
        first, *others = (students[start::threads] for start in range(threads))
        begun = [self._executor.submit(self._compute_share, job, share, images) for share in others]
        answers: list[Answer] = []
        for share, future in ((first, None), *zip(others, begun, strict=True)):
            if future is not None and not future.cancel():
                computed = await asyncio.wrap_future(future)
                answers += computed
                continue
            for student in share:
                answers += self._compute_share(job, [student], images)
                if time.monotonic() > patient_until:
                    await self._tell(answers)
                    answers = []
        await self._tell(answers)

    async def _do_long(self, job: Job, students: Students, images: NDArray[np.uint8]) -> None:
        """As many students at a time as there are threads; each answer is sent when it is there."""
        loop = asyncio.get_running_loop()
        shares = [
            loop.run_in_executor(self._executor, self._compute_share, job, [student], images)
            for student in students
        ]
        for computed in asyncio.as_completed(shares):
            await self._tell(await computed)

    async def _tell(self, answers: list[Answer]) -> None:
        for message in messages(answers, together=self.takes_partials):
            await self._send(message)

    def _compute_share(self, job: Job, students: Students, images: NDArray[np.uint8]) -> list[Answer]:
        return [self._compute(job, index, student, images) for index, student in students]

    def _compute(self, job: Job, index: int, student: Student, images: NDArray[np.uint8]) -> Answer:
        """One student's share, in whatever thread."""
        work, started = job.work, time.monotonic()

        def wanted() -> bool:
            return not self._ended and time.monotonic() < job.deadline

        try:
            logits = student.compute(images, wanted)
        except BudgetPassed as error:
            return _refusal(work, nonn_pb2.BUDGET_PASSED, str(error), index)
        except WorkRefused as error:
            return _refusal(work, nonn_pb2.BAD_INPUT, str(error), index)
        except Exception as error:  # whatever onnxruntime raises costs this share, not the device
            log.warning("student %d failed: %s", index, error)
            return _refusal(work, nonn_pb2.FAILED, str(error)[:300], index)
        return nonn_pb2.Partial(
            bundle_id=work.bundle_id,
            work_id=work.work_id,
            student=index,
            logits=tensors.encode(logits),
            queue_seconds=started - job.received,
            compute_seconds=time.monotonic() - started,
        )

    async def _refuse(self, work: nonn_pb2.Work, code: nonn_pb2.RefusalCode, reason: str) -> None:
        await self._tell([_refusal(work, code, reason)])


def _refusal(
    work: nonn_pb2.Work, code: nonn_pb2.RefusalCode, reason: str, student: int | None = None
) -> nonn_pb2.Refusal:
    return nonn_pb2.Refusal(work_id=work.work_id, student=student, code=code, reason=reason)
