"""An aggregator over loopback, with devices and clients that do only what a test asks of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from aggregator import Aggregator, Settings
from bundle import Bundle
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc, tensors
from protos.credentials import Credentials

CLASSES = 3
SHAPE = (4, 4, 1)
PATIENT = 20.0  # seconds that a test waits for what must come
QUICK = Settings(ping=0.05, settle=0.05)
ONE_STUDENT = 3_000_000  # bytes of memory that are enough for one, not for two


def compute(images: np.ndarray, student: int) -> np.ndarray:
    rows = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32)
    return rows[:, None] + np.arange(CLASSES, dtype=np.float32) * np.float32(student + 1)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(2 * PATIENT):
            await test()

    asyncio.run(bounded())


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENT):
        while not await holds():
            await asyncio.sleep(0.01)


def dial(address: str, folder: Path | None = None) -> grpc.aio.Channel:
    """A channel of its own, as from another machine; with a folder of certificates over TLS."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    if folder is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, Credentials.load(folder).for_channel(), options=options)


class Device:
    """Serves what it is assigned; does only what a test asks of it."""

    def __init__(self, channel: grpc.aio.Channel, name: str, **hello: Any) -> None:
        self.hello = nonn_pb2.Hello(
            **{"device_id": name, "name": name, "protocol_version": PROTOCOL_VERSION, **hello}
        )
        self.stub = nonn_pb2_grpc.ClusterStub(channel)
        self.call = self.stub.Join()
        self.assigned: list[nonn_pb2.AssignedStudent] = []
        self.works: asyncio.Queue[nonn_pb2.Work] = asyncio.Queue()
        self.answering = True

    async def say(self, **message: Any) -> None:
        await self.call.write(nonn_pb2.DeviceMessage(**message))

    async def join(self) -> nonn_pb2.Welcome:
        await self.say(hello=self.hello)
        message = await self.call.read()
        return message.welcome

    async def live(self) -> None:
        """Until the stream ends; raises AioRpcError when the aggregator ends it."""
        while (message := await self.call.read()) is not grpc.aio.EOF:
            match message.WhichOneof("kind"):
                case "ping":
                    await self.say(pong=nonn_pb2.Pong(sequence=message.ping.sequence))
                case "assignment":
                    self.assigned = list(message.assignment.students)
                    for student in self.assigned:
                        await self.ready(student)
                case "work":
                    self.works.put_nowait(message.work)
                    if self.answering:
                        await self.answer(message.work)

    async def ready(self, student: nonn_pb2.AssignedStudent) -> None:
        await self.say(
            ready=nonn_pb2.Ready(
                bundle_id=student.bundle_id, student=student.student, self_test_passed=True, speed=1.0
            )
        )

    async def answer(self, work: nonn_pb2.Work) -> None:
        images = tensors.decode(work.images, nonn_pb2.UINT8, 4)
        for student in [s for s in self.assigned if s.bundle_id == work.bundle_id]:
            logits = tensors.encode(compute(images, student.student))
            partial = nonn_pb2.Partial(
                bundle_id=work.bundle_id, work_id=work.work_id, student=student.student, logits=logits
            )
            await self.say(partial=partial)


class Cluster:
    """An aggregator, and what connects to it; a channel for each peer, as from different machines."""

    def __init__(self, aggregator: Aggregator, stack: contextlib.AsyncExitStack) -> None:
        self.aggregator = aggregator
        self.stack = stack

    async def channel(self) -> grpc.aio.Channel:
        return await self.stack.enter_async_context(dial(self.aggregator.address))

    async def client(self) -> nonn_pb2_grpc.InferenceStub:
        return nonn_pb2_grpc.InferenceStub(await self.channel())

    async def device(self, name: str, **hello: Any) -> Device:
        """Joined, and living in the background."""
        device = Device(await self.channel(), name, **hello)
        await device.join()
        life = asyncio.create_task(device.live())
        self.stack.push_async_callback(end, life)
        return device

    async def status(self) -> nonn_pb2.StatusResponse:
        return await (await self.client()).Status(nonn_pb2.StatusRequest())

    async def served(self, count: int) -> None:
        """Wait until so many students are served."""
        client = await self.client()

        async def holds() -> bool:
            status = await client.Status(nonn_pb2.StatusRequest())
            return sum(bool(student.device_ids) for student in status.students) == count

        await until(holds)

    async def gone(self, name: str) -> None:
        async def holds() -> bool:
            return all(device.device_id != name for device in (await self.status()).devices)

        await until(holds)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, grpc.aio.AioRpcError, asyncio.InvalidStateError):
        await task


@contextlib.asynccontextmanager
async def serving(bundle: Bundle, settings: Settings = QUICK, devices: int = 0) -> AsyncIterator[Cluster]:
    async with (
        contextlib.AsyncExitStack() as stack,
        Aggregator(bundle, settings, listen="127.0.0.1:0") as aggregator,
    ):
        cluster = Cluster(aggregator, stack)
        for number in range(devices):
            await cluster.device(f"d{number}")
        if devices:
            await cluster.served(4)
        yield cluster


def images(count: int = 1) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *SHAPE), dtype=np.uint8)


def request(array: np.ndarray, **fields: Any) -> nonn_pb2.PredictRequest:
    return nonn_pb2.PredictRequest(images=tensors.encode(array), **fields)


async def refusal(call: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert "\n" not in (caught.value.details() or "")
    return caught.value
