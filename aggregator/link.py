"""One device's stream: its reader, its writer, and the bounded queue between the core and the writer."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc

# Messages that wait for a device to read them. Works are bounded by the window, so these are mostly pings.
OUTGOING = 64


class Link:
    """`send` and `close` never wait: a device that does not read is cut off, and holds up no one else."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue(OUTGOING)
        self._closed: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()

    def send(self, message: bytes) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            reason = f"{OUTGOING} messages wait for it: it does not read them"
            self.close(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)

    def close(self, code: grpc.StatusCode, reason: str) -> None:
        if not self._closed.done():
            self._closed.set_result((code, reason))

    async def run(self, context: Any, deliver: Callable[[bytes], None]) -> tuple[grpc.StatusCode, str]:
        """Carry messages both ways until the stream ends. Returns how it ended; OK: by the device."""
        reader = asyncio.create_task(_read(context, deliver))
        writer = asyncio.create_task(self._write(context))
        try:
            ends: set[asyncio.Future[Any]] = {reader, writer, self._closed}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if self._closed.done():
                return self._closed.result()
            return grpc.StatusCode.OK, "its stream ended"
        finally:
            self._closed.cancel()
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)

    async def _write(self, context: Any) -> None:
        while True:
            await context.write(await self._outgoing.get())


async def _read(context: Any, deliver: Callable[[bytes], None]) -> None:
    while (message := await context.read()) is not grpc.aio.EOF:
        deliver(message)
