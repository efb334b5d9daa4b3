"""What a soak does to a cluster, one fault at a time. Every fault heals by itself within some seconds."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from types import TracebackType
from typing import Self

import grpc

from benchmarks.load import Tally, Truth, ask
from fault_lab.local_cluster import LocalCluster
from nonn import AsyncClient
from protos import PROTOCOL_VERSION, nonn_pb2

JOIN, PREDICT = "/nonn.v1.Cluster/Join", "/nonn.v1.Inference/Predict"
LONGEST_PAUSE = 8.0
BURST = 600  # requests at once: more than the queue and the devices hold
CANCELLED = 50


class Faults:
    """`spared`: so many devices, the last ones, are never killed, so that they get as old as the cluster."""

    def __init__(self, cluster: LocalCluster, truth: Truth, seed: int, spared: int) -> None:
        self.tally = Tally()
        self._cluster = cluster
        self._truth = truth
        self._random = random.Random(seed)
        self._spared = spared
        self._client = AsyncClient(cluster.address)
        self._hurt: set[int] = set()
        self.kinds: dict[str, Callable[[], Coroutine[None, None, None]]] = {
            "kill": self.kill,
            "pause": self.pause,
            "burst": self.burst,
            "cancel": self.cancel,
            "garbage_bytes": self.garbage_bytes,
            "garbage_stream": self.garbage_stream,
            "garbage_request": self.garbage_request,
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()

    def choose(self) -> str:
        return self._random.choice(list(self.kinds))

    def wait(self) -> float:
        """Seconds until the next fault."""
        return self._random.uniform(0.2, 2.0)

    async def kill(self) -> None:
        """SIGKILL, and some time later a new process with the same name and disk."""
        with self._victim(len(self._cluster.devices) - self._spared) as index:
            if index is not None:
                await asyncio.to_thread(self._cluster.kill, index)
                await asyncio.sleep(self._random.uniform(0.0, 5.0))
                await asyncio.to_thread(self._cluster.restart, index)

    async def pause(self) -> None:
        """SIGSTOP, and SIGCONT some time later."""
        with self._victim(len(self._cluster.devices)) as index:
            if index is not None:
                self._cluster.pause(index)
                await asyncio.sleep(self._random.uniform(0.1, LONGEST_PAUSE))
                self._cluster.resume(index)

    async def burst(self) -> None:
        """More requests at once than there is room for."""
        await asyncio.gather(*(ask(self._client, self._truth, self.tally, 5.0) for _ in range(BURST)))

    async def cancel(self) -> None:
        """Clients that go away before their answer."""
        asked = [asyncio.create_task(self._client.predict(self._truth.images, 5.0)) for _ in range(CANCELLED)]
        await asyncio.sleep(self._random.uniform(0.0, 0.02))
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    async def garbage_bytes(self) -> None:
        """A peer that speaks no HTTP/2."""
        host, _, port = self._cluster.address.rpartition(":")
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(self._random.randbytes(10_000))
            with contextlib.suppress(TimeoutError, ConnectionError):
                async with asyncio.timeout(1.0):
                    await reader.read()
            writer.close()

    async def garbage_stream(self) -> None:
        """A peer that joins as a device and then speaks nonsense, or leaves without a word."""
        hello = nonn_pb2.Hello(
            device_id=f"{self._random.getrandbits(128):032x}",
            name="garbage",
            protocol_version=PROTOCOL_VERSION,
            memory_bytes=1,  # no student fits
        )
        first = nonn_pb2.DeviceMessage(hello=hello).SerializeToString()
        messages = [first if self._random.random() < 0.7 else self._random.randbytes(100)]
        messages += [self._random.randbytes(self._random.choice((0, 10, 100_000))) for _ in range(20)]

        async def speak() -> AsyncIterator[bytes]:
            for message in messages[: self._random.randrange(len(messages))]:
                yield message

        async with grpc.aio.insecure_channel(self._cluster.address) as channel:
            call = channel.stream_stream(JOIN)(speak(), timeout=3)
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for _ in call:
                    pass

    async def garbage_request(self) -> None:
        """Requests that are none."""
        async with grpc.aio.insecure_channel(self._cluster.address) as channel:
            call = channel.unary_unary(PREDICT)
            for size in (0, 1, 100, 100_000, 5_000_000):
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await call(self._random.randbytes(size), timeout=3)

    @contextlib.contextmanager
    def _victim(self, among: int) -> Iterator[int | None]:
        """A device that nothing has been done to; None when there are too few of those."""
        whole = [index for index in range(among) if index not in self._hurt]
        if len(self._hurt) >= len(self._cluster.devices) // 2 or not whole:
            yield None
            return
        index = self._random.choice(whole)
        self._hurt.add(index)
        try:
            yield index
        finally:
            self._hurt.discard(index)
