"""What a hostile peer does, as hard as it can, until it is killed: `python -m tests.aggregator.attacks NAME
ADDRESS [DIR]`, DIR being a folder of certificates. It is a process of its own: its work is not the test's.
"""

import asyncio
import contextlib
import itertools
import os
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from protos import PROTOCOL_VERSION, endpoints, nonn_pb2, nonn_pb2_grpc, tensors
from protos.credentials import Credentials

ENDED = (grpc.aio.AioRpcError, asyncio.InvalidStateError, asyncio.CancelledError, grpc.aio.UsageError)
NUMBERS = itertools.count()


class Enemy:
    def __init__(self, address: str, folder: str | None) -> None:
        self.address = address
        self.folder = None if folder is None else Path(folder)
        self.digest = ""

    def channel(self, *more: tuple[str, int]) -> grpc.aio.Channel:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1), *more]
        if self.folder is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        credentials = Credentials.load(self.folder).for_channel()
        return grpc.aio.secure_channel(self.address, credentials, options=options)

    @contextlib.asynccontextmanager
    async def joined(self, channel: grpc.aio.Channel) -> AsyncIterator[Any]:
        """A stream whose Hello has been sent, under a new name each time."""
        call = nonn_pb2_grpc.ClusterStub(channel).Join()
        name = f"enemy-{os.getpid()}-{next(NUMBERS)}"
        hello = nonn_pb2.Hello(device_id=name, name=name, protocol_version=PROTOCOL_VERSION)
        try:
            await call.write(nonn_pb2.DeviceMessage(hello=hello))
            yield call
        finally:
            call.cancel()


async def forever(count: int, attack: Callable[[], Awaitable[None]]) -> None:
    async def again() -> None:
        while True:
            with contextlib.suppress(*ENDED):
                await attack()
            await asyncio.sleep(0)

    print("attacking", flush=True)
    await asyncio.gather(*(again() for _ in range(count)))


async def garbage(enemy: Enemy) -> None:
    """Bytes that are no message, as many as fit."""
    async with enemy.channel() as channel:
        raw = channel.stream_stream("/nonn.v1.Cluster/Join")
        hello = nonn_pb2.Hello(device_id="enemy", name="enemy", protocol_version=PROTOCOL_VERSION)

        async def attack() -> None:
            call = raw()
            await call.write(nonn_pb2.DeviceMessage(hello=hello).SerializeToString())
            while True:
                await call.write(os.urandom(100))

        await forever(4, attack)


async def chatter(enemy: Enemy) -> None:
    """Messages that are well formed, and that nobody asked for."""
    logits = tensors.encode(np.zeros((1, 3), np.float32))
    async with enemy.channel() as channel:

        async def attack() -> None:
            async with enemy.joined(channel) as call:
                for number in itertools.count():
                    partial = nonn_pb2.Partial(bundle_id="x", work_id=number, student=0, logits=logits)
                    await call.write(nonn_pb2.DeviceMessage(partial=partial))

        await forever(4, attack)


async def huge_partials(enemy: Enemy) -> None:
    """As large as gRPC lets through."""
    data = bytes(2**20 - 1000)
    logits = nonn_pb2.Tensor(type=nonn_pb2.FLOAT32, shape=[len(data) // 12, 3], data=data)
    message = nonn_pb2.DeviceMessage(partial=nonn_pb2.Partial(logits=logits))
    async with enemy.channel() as channel:

        async def attack() -> None:
            async with enemy.joined(channel) as call:
                while True:
                    await call.write(message)

        await forever(16, attack)


async def joins(enemy: Enemy) -> None:
    """One Hello after another."""
    async with enemy.channel() as channel:

        async def attack() -> None:
            async with enemy.joined(channel) as call:
                await call.read()

        await forever(64, attack)


async def streams(enemy: Enemy) -> None:
    """Thousands of calls that are begun and never go on."""
    channels = [enemy.channel() for _ in range(3)]
    methods = [
        channel.stream_stream(f"/nonn.v1.{name}")
        for channel in channels
        for name in ("Cluster/Join", "Inference/Predict", "Inference/Status", "Operation/Reload", "No/Such")
    ]

    async def attack() -> None:
        call = methods[next(NUMBERS) % len(methods)]()
        await call.read()

    await forever(2000, attack)


async def requests(enemy: Enemy) -> None:
    """Proper requests, a thousand at any time."""
    images = tensors.encode(np.zeros((1, 4, 4, 1), np.uint8))
    async with enemy.channel() as channel:
        predict = nonn_pb2_grpc.InferenceStub(channel).Predict

        async def attack() -> None:
            await predict(nonn_pb2.PredictRequest(images=images), timeout=30)

        await forever(1000, attack)


async def resets(enemy: Enemy) -> None:
    """Calls that are taken back as soon as they are begun."""
    images = tensors.encode(np.zeros((1, 4, 4, 1), np.uint8))
    async with enemy.channel() as channel:
        predict = nonn_pb2_grpc.InferenceStub(channel).Predict

        async def attack() -> None:
            call = predict(nonn_pb2.PredictRequest(images=images), timeout=30)
            await asyncio.sleep(0.001)
            call.cancel()

        await forever(200, attack)


async def giants(enemy: Enemy) -> None:
    """A gigabyte in one request."""
    data = bytes(2**30)
    async with enemy.channel() as channel:
        predict = channel.unary_unary("/nonn.v1.Inference/Predict")
        await forever(1, lambda: predict(data))


async def large_requests(enemy: Enemy) -> None:
    """As large as gRPC lets through, a thousand at any time."""
    data = bytes(2**20 - 1000)
    async with enemy.channel() as channel:
        predict = channel.unary_unary("/nonn.v1.Inference/Predict")
        await forever(1000, lambda: predict(data))


async def fetches(enemy: Enemy) -> None:
    """Every student, again and again."""
    async with enemy.channel() as channel:
        stub = nonn_pb2_grpc.ClusterStub(channel)
        async with enemy.joined(channel) as call:
            await call.read()
            students = (await call.read()).assignment.students
            digests = [student.sha256 for student in students] or ["0" * 64]

        async def attack() -> None:
            request = nonn_pb2.FetchStudentRequest(sha256=digests[next(NUMBERS) % len(digests)])
            async for _ in stub.FetchStudent(request):
                pass

        await forever(64, attack)


async def deaf(enemy: Enemy) -> None:
    """Calls whose answers are never read."""
    images = tensors.encode(np.zeros((64, 4, 4, 1), np.uint8))
    async with enemy.channel(("grpc.http2.lookahead_bytes", 1024)) as channel:
        join = channel.stream_stream("/nonn.v1.Cluster/Join")
        predict = channel.stream_stream("/nonn.v1.Inference/Predict")
        request = nonn_pb2.PredictRequest(images=images).SerializeToString()

        async def attack() -> None:
            call = join() if next(NUMBERS) % 8 == 0 else predict()
            await call.write(request)
            await call.done_writing()
            await asyncio.sleep(30)

        await forever(1000, attack)


async def silence(enemy: Enemy) -> None:
    """Connections that say nothing, and some that say nothing after the handshake."""
    host, port = endpoints.split(enemy.address)
    open_ones: list[socket.socket] = []

    async def attack() -> None:
        await asyncio.sleep(0.01)
        with contextlib.suppress(OSError):
            raw = socket.create_connection((host, port), 5)
            if enemy.folder is not None and next(NUMBERS) % 2:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.load_verify_locations(enemy.folder / "ca.pem")
                context.load_cert_chain(enemy.folder / "cert.pem", enemy.folder / "key.pem")
                context.set_alpn_protocols(["h2"])
                raw = context.wrap_socket(raw, server_hostname=host)
            open_ones.append(raw)

    await forever(4, attack)


async def strangers(enemy: Enemy) -> None:
    """TLS without a certificate."""
    assert enemy.folder is not None
    credentials = grpc.ssl_channel_credentials((enemy.folder / "ca.pem").read_bytes())
    options = [("grpc.use_local_subchannel_pool", 1)]

    async def attack() -> None:
        async with grpc.aio.secure_channel(enemy.address, credentials, options=options) as channel:
            await nonn_pb2_grpc.InferenceStub(channel).Status(nonn_pb2.StatusRequest(), timeout=5)

    await forever(8, attack)


def main() -> None:
    name, address, *folder = sys.argv[1:]
    asyncio.run(globals()[name](Enemy(address, *(folder or [None]))))


if __name__ == "__main__":
    main()
