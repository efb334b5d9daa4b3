"""Works waiting to be computed, and what becomes of them: partial logits or a refusal."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from device_node.errors import BudgetPassed, WorkRefused
from device_node.hosting import Hosting
from device_node.students import Student
from protos import nonn_pb2, tensors

log = logging.getLogger(__name__)

# What takes no longer is computed on the event loop, which pings can spare for so long: the way to another
# thread and back costs 0.1 ms and more.
INLINE_SECONDS: Final = 0.01

MOST_WAITING_BYTES: Final = 128 * 2**20

Send = Callable[[nonn_pb2.DeviceMessage], Awaitable[None]]


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
    """At most `window` works wait; each is computed student by student.

    Bound to one connection: what waits or is being computed is dropped with it.
    """

    def __init__(self, hosting: Hosting, executor: Executor, send: Send) -> None:
        self.window = 1
        self.accepting = True
        self._hosting = hosting
        self._executor = executor
        self._send = send
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._computing = asyncio.Lock()
        self._waiting_bytes = 0
        self._ended = False

    async def offer(self, work: nonn_pb2.Work, received: float) -> None:
        """Take the work, or say at once that it will not be done. A short one is done on return."""
        if not self.accepting:
            await self._refuse(work, nonn_pb2.OVERLOADED, "this device is leaving")
        elif self._jobs.qsize() >= self.window or self._waiting_bytes > MOST_WAITING_BYTES:
            await self._refuse(work, nonn_pb2.OVERLOADED, f"{self._jobs.qsize()} works are waiting already")
        else:
            job = Job(work, received, received + work.budget_seconds)
            if self._jobs.empty() and not self._computing.locked() and self._is_short(work):
                await self._do(job)  # waking the task that waits for it would cost more than some students
                return
            self._waiting_bytes += job.size
            self._jobs.put_nowait(job)

    async def run(self) -> None:
        """Compute what is offered, until cancelled."""
        try:
            while True:
                job = await self._jobs.get()
                self._waiting_bytes -= job.size
                await self._do(job)
                self._jobs.task_done()
        finally:
            self._ended = True

    async def finished(self) -> None:
        """Returns when nothing waits and nothing is being computed."""
        await self._jobs.join()
        async with self._computing:
            pass

    def _is_short(self, work: nonn_pb2.Work) -> bool:
        images = work.images.shape[0] if work.images.shape else 0
        students = self._hosting.serving.get(work.bundle_id, {})
        return sum(student.image_seconds for student in students.values()) * images <= INLINE_SECONDS

    async def _do(self, job: Job) -> None:
        async with self._computing:
            await self._do_shares(job)

    async def _do_shares(self, job: Job) -> None:
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
        for index, student in sorted(students.items()):
            await self._do_share(job, index, student, images)

    async def _do_share(self, job: Job, index: int, student: Student, images: NDArray[np.uint8]) -> None:
        started = time.monotonic()
        try:
            logits = await self._compute(job, student, images)
        except BudgetPassed as error:
            await self._refuse(job.work, nonn_pb2.BUDGET_PASSED, str(error), index)
        except WorkRefused as error:
            await self._refuse(job.work, nonn_pb2.BAD_INPUT, str(error), index)
        except Exception as error:  # whatever onnxruntime raises costs this share, not the device
            log.warning("student %d failed: %s", index, error)
            await self._refuse(job.work, nonn_pb2.FAILED, str(error)[:300], index)
        else:
            partial = nonn_pb2.Partial(
                bundle_id=job.work.bundle_id,
                work_id=job.work.work_id,
                student=index,
                logits=tensors.encode(logits),
                queue_seconds=started - job.received,
                compute_seconds=time.monotonic() - started,
            )
            await self._send(nonn_pb2.DeviceMessage(partial=partial))

    async def _compute(self, job: Job, student: Student, images: NDArray[Any]) -> NDArray[np.float32]:
        def wanted() -> bool:
            return not self._ended and time.monotonic() < job.deadline

        if student.image_seconds * len(images) <= INLINE_SECONDS:
            return student.compute(images, wanted)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, student.compute, images, wanted)

    async def _refuse(
        self, work: nonn_pb2.Work, code: nonn_pb2.RefusalCode, reason: str, student: int | None = None
    ) -> None:
        refusal = nonn_pb2.Refusal(work_id=work.work_id, student=student, code=code, reason=reason)
        await self._send(nonn_pb2.DeviceMessage(refusal=refusal))
