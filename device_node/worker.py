"""Works waiting for the compute thread, and what becomes of them: partial logits or a refusal."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from device_node.errors import WorkRefused
from device_node.hosting import Hosting
from device_node.students import Student
from protos import nonn_pb2, tensors

log = logging.getLogger(__name__)

Send = Callable[[nonn_pb2.DeviceMessage], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Job:
    """received and deadline in seconds of the event loop's clock."""

    work: nonn_pb2.Work
    received: float
    deadline: float


class Worker:
    """At most `window` works wait; each is computed student by student, away from the event loop.

    So pings are answered while a student computes. Bound to one connection: what waits is dropped with it.
    """

    def __init__(self, hosting: Hosting, executor: Executor, send: Send) -> None:
        self.window = 1
        self.accepting = True
        self._hosting = hosting
        self._executor = executor
        self._send = send
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def offer(self, work: nonn_pb2.Work) -> None:
        """Take the work, or say at once that it will not be done."""
        now = asyncio.get_running_loop().time()
        if not self.accepting:
            await self._refuse(work, nonn_pb2.OVERLOADED, "this device is leaving")
        elif self._jobs.qsize() >= self.window:
            await self._refuse(work, nonn_pb2.OVERLOADED, f"{self.window} works are waiting already")
        else:
            self._jobs.put_nowait(Job(work, now, now + work.budget_seconds))

    async def run(self) -> None:
        """Compute what is offered, until cancelled."""
        while True:
            job = await self._jobs.get()
            await self._do(job)
            self._jobs.task_done()

    async def finished(self) -> None:
        """Returns when nothing waits and nothing is being computed."""
        await self._jobs.join()

    async def _do(self, job: Job) -> None:
        hosting, work = self._hosting, job.work
        students = hosting.serving.get(work.bundle_id)
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

    async def _do_share(self, job: Job, index: int, student: Student, images: NDArray[Any]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        if started >= job.deadline:
            await self._refuse(job.work, nonn_pb2.BUDGET_PASSED, "its time was over before its turn", index)
            return
        try:
            logits = await loop.run_in_executor(self._executor, student.compute, images)
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
                compute_seconds=loop.time() - started,
            )
            await self._send(nonn_pb2.DeviceMessage(partial=partial))

    async def _refuse(
        self, work: nonn_pb2.Work, code: nonn_pb2.RefusalCode, reason: str, student: int | None = None
    ) -> None:
        refusal = nonn_pb2.Refusal(work_id=work.work_id, student=student, code=code, reason=reason)
        await self._send(nonn_pb2.DeviceMessage(refusal=refusal))
