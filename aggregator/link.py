"""One device's stream: its reader, its writer, and the bounded queue between the core and the writer."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import grpc

# Messages that wait for a device to read them. Works are bounded by the window, so these are mostly pings.
OUTGOING = 64

log = logging.getLogger("aggregator")


class Link:
    """`send` and `close` never wait: a device that does not read is cut off, and holds up no one else."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._outgoing: asyncio.Queue[bytes | None] = asyncio.Queue(OUTGOING)
        self._closed: asyncio.Future[tuple[grpc.StatusCode, str]] = asyncio.get_running_loop().create_future()
        self._tasks: tuple[asyncio.Task[None], ...] = ()

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
        self._tasks = (reader, writer)
        ends: set[asyncio.Future[Any]] = {reader, writer, self._closed}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            reader.cancel()
        return self._closed.result() if self._closed.done() else (grpc.StatusCode.OK, "its stream ended")

    async def finish(self) -> None:
        """Returns once the stream may be given its status.

        gRPC takes none while a message is being written, and has no way to take that message back. So for a
        device that does not read, this waits until it does, or until its connection is over.
        """
        self._closed.cancel()
        while not self._outgoing.empty():
            self._outgoing.get_nowait()
        self._outgoing.put_nowait(None)
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            # gRPC's own errors say that the stream is over, which is known by now.
            if isinstance(result, Exception) and not isinstance(result, grpc.aio.BaseError):
                log.error("a device's stream failed: %r", result, exc_info=result)

    async def _write(self, context: Any) -> None:
        while (message := await self._outgoing.get()) is not None:
            await context.write(message)


async def _read(context: Any, deliver: Callable[[bytes], None]) -> None:
    while (message := await context.read()) is not grpc.aio.EOF:
        deliver(message)
