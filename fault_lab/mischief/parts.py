"""The parts of a device that can be told to do their work badly."""

import asyncio
import time
from concurrent.futures import Executor
from random import Random
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from device_node.choice import Precision
from device_node.hosting import Hosting
from device_node.students import Student
from device_node.worker import Send, Worker
from fault_lab.control_file import LOOK_SECONDS, ControlFile
from fault_lab.mischief.control import Mischief
from protos import nonn_pb2, tensors

# Of made-up logits: large enough to outvote every honest student of the sample bundles.
SPREAD: Final = 30.0


class SlowStudent(Student):
    """In its self-test as well, as a slow processor would be.

    It knows at any time how slow it is, so that a long computation is not done where pings are answered: else
    a slow device would be a deaf one, which is another fault.
    """

    def __init__(
        self, control: ControlFile[Mischief], model: bytes, threads: int, precision: Precision = "fp32"
    ) -> None:
        self._control = control
        super().__init__(model, threads, precision)

    @property
    def image_seconds(self) -> float:
        return self._unslowed * self._control.current().slow

    @image_seconds.setter
    def image_seconds(self, seconds: float) -> None:
        self._unslowed = seconds / self._control.current().slow

    def _run(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        started = time.perf_counter()
        logits = super()._run(images)
        factor = self._control.current().slow
        due = started + factor * (time.perf_counter() - started)
        while (left := due - time.perf_counter()) > 0 and self._control.current().slow == factor:
            time.sleep(min(left, LOOK_SECONDS))
        return logits


class UnreliableWorker(Worker):
    """Computes as it should, and sends something else, or at another time.

    What is late is dropped with the connection, as all is that a worker has in hand.
    """

    def __init__(
        self,
        control: ControlFile[Mischief],
        hosting: Hosting,
        executor: Executor,
        parallel: int,
        send: Send,
    ) -> None:
        super().__init__(hosting, executor, parallel, self._answer)
        self._control = control
        self._really_send = send
        self._late: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            for task in self._late:
                task.cancel()

    async def _answer(self, message: nonn_pb2.DeviceMessage) -> None:
        answers = self._control.current().answers
        if answers is not None and answers.type == "mute":
            return
        if answers is not None and message.HasField("partials"):
            for partial in message.partials.partials:
                await self._answer(nonn_pb2.DeviceMessage(partial=partial))
            return
        if answers is None or not message.HasField("partial"):
            await self._really_send(message)
            return
        random = chance_of(message.partial, answers.seed)
        if random.random() >= answers.toxicity:
            await self._really_send(message)
        elif answers.type == "late":
            task = asyncio.create_task(self._send_late(message, answers.delay))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        else:
            for instead in falsify(answers.type, message, random):
                await self._really_send(instead)

    async def _send_late(self, message: nonn_pb2.DeviceMessage, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._really_send(message)


def chance_of(partial: nonn_pb2.Partial, seed: int) -> Random:
    """Of this answer: the same whenever and on whatever connection it is given, for the same seed."""
    return Random(f"nonn mischief {seed} {partial.work_id} {partial.student}")


def falsify(way: str, message: nonn_pb2.DeviceMessage, random: Random) -> list[nonn_pb2.DeviceMessage]:
    """What is sent in place of a partial answer."""
    partial = message.partial
    if way == "duplicate":
        return [message, message]
    if way == "refuse":
        refusal = nonn_pb2.Refusal(
            work_id=partial.work_id, student=partial.student, code=nonn_pb2.FAILED, reason="it refuses to"
        )
        return [nonn_pb2.DeviceMessage(refusal=refusal)]
    instead = nonn_pb2.DeviceMessage()
    instead.CopyFrom(message)
    logits = tensors.decode(partial.logits, nonn_pb2.FLOAT32, 2)
    instead.partial.logits.CopyFrom(tensors.encode(_spoil(way, logits, random)))
    return [instead]


def _spoil(way: str, logits: NDArray[np.float32], random: Random) -> NDArray[Any]:
    match way:
        case "corrupt":
            return _made_up(logits.shape, random)
        case "nan":
            return np.full_like(logits, np.nan)
        case "wrong_shape":
            return np.ascontiguousarray(logits[:, :-1])
    raise ValueError(f"{way!r} is no way to answer wrongly")


def _made_up(shape: tuple[int, ...], random: Random) -> NDArray[np.float32]:
    numbers = np.random.default_rng(random.getrandbits(64)).normal(0.0, SPREAD, shape)
    return numbers.astype(np.float32)
