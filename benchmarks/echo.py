"""A bare fan-out over gRPC, to hold the aggregator against: the same calls and sizes, and nothing else.

    python -m benchmarks.echo aggregator --answer BYTES --work BYTES      prints "listening on HOST:PORT"
    python -m benchmarks.echo devices HOST:PORT --streams N --reply BYTES

Devices dial in on a bidirectional stream. A unary request is written to all of them and answered once all
have replied. No parsing, checks, batches, deadlines, heartbeats or merging: a message is a number and filler.
"""

import argparse
import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import grpc
import uvloop

NUMBER = 8  # bytes
CHANNEL_OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))
JOIN, PREDICT = "/bare.Cluster/Join", "/bare.Inference/Predict"


class Echo:
    """answer, work: bytes of an answer and of a message to a device."""

    def __init__(self, answer: int, work: int) -> None:
        self._answer = bytes(answer)
        self._work = work
        self._streams: list[asyncio.Queue[bytes]] = []
        self._numbers = itertools.count()
        self._awaited: dict[bytes, tuple[asyncio.Future[None], list[None]]] = {}

    async def join(self, _: AsyncIterator[bytes], context: Any) -> None:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._streams.append(queue)
        writer = asyncio.create_task(self._write(queue, context))
        try:
            while (reply := await context.read()) is not grpc.aio.EOF:
                done, missing = self._awaited[reply[:NUMBER]]
                missing.pop()
                if not missing:
                    done.set_result(None)
        finally:
            self._streams.remove(queue)
            writer.cancel()

    async def _write(self, queue: asyncio.Queue[bytes], context: Any) -> None:
        while True:
            await context.write(await queue.get())

    async def predict(self, request: bytes, context: Any) -> bytes:
        number = next(self._numbers).to_bytes(NUMBER, "little")
        done = asyncio.get_running_loop().create_future()
        self._awaited[number] = done, [None] * len(self._streams)
        message = (number + request).ljust(self._work)
        for stream in self._streams:
            stream.put_nowait(message)
        await done
        del self._awaited[number]
        return self._answer


async def aggregator(answer: int, work: int) -> None:
    echo = Echo(answer, work)
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    handlers = {"Join": grpc.stream_stream_rpc_method_handler(echo.join)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Cluster", handlers),))
    handlers = {"Predict": grpc.unary_unary_rpc_method_handler(echo.predict)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bare.Inference", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


async def device(address: str, reply: int) -> None:
    filler = bytes(reply - NUMBER)
    async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
        call = channel.stream_stream(JOIN)()
        await call.wait_for_connection()
        print("joined", flush=True)
        while (message := await call.read()) is not grpc.aio.EOF:
            await call.write(message[:NUMBER] + filler)


async def devices(address: str, streams: int, reply: int) -> None:
    await asyncio.gather(*(device(address, reply) for _ in range(streams)))


def main() -> None:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    role = roles.add_parser("aggregator")
    role.add_argument("--answer", type=int, required=True)
    role.add_argument("--work", type=int, required=True)
    role = roles.add_parser("devices")
    role.add_argument("address")
    role.add_argument("--streams", type=int, required=True)
    role.add_argument("--reply", type=int, required=True)
    arguments = parser.parse_args()
    if arguments.role == "aggregator":
        uvloop.run(aggregator(arguments.answer, arguments.work))
    else:
        uvloop.run(devices(arguments.address, arguments.streams, arguments.reply))


if __name__ == "__main__":
    main()
