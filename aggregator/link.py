"""One device's stream: its reader, its writer, and the bounded queue between the core and the writer."""

import asyncio
import logging
from collections import deque
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
        self.sent = 0  # messages, those that wait included
        self._loop = asyncio.get_running_loop()
        self._outgoing: deque[bytes | None] = deque()  # None: the end
        self._wake: asyncio.Future[None] | None = None  # of a writer that has nothing to write
        self._closed: asyncio.Future[tuple[grpc.StatusCode, str]] = self._loop.create_future()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None

    def send(self, message: bytes) -> None:
        self.sent += 1
        if len(self._outgoing) >= OUTGOING:
            reason = f"{OUTGOING} messages wait for it: it does not read them"
            self.close(grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        else:
            self._put(message)

    @property
    def closed(self) -> bool:
        return self._closed.done()

    def close(self, code: grpc.StatusCode, reason: str) -> None:
        if not self._closed.done():
            self._closed.set_result((code, reason))

    async def run(self, context: Any, deliver: Callable[[bytes], None]) -> tuple[grpc.StatusCode, str]:
        """Carry messages both ways until the stream ends. Returns how it ended; OK: by the device.

        The reader goes on until the stream has its status: gRPC never frees the message of a read that was
        cancelled.
        """
        self._reader = asyncio.create_task(self._read(context, deliver))
        self._writer = asyncio.create_task(self._write(context))
        ends: set[asyncio.Future[Any]] = {self._reader, self._writer, self._closed}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        return self._closed.result() if self._closed.done() else (grpc.StatusCode.OK, "its stream ended")

    async def finish(self) -> None:
        """Returns once the stream may be given its status.

        gRPC takes none while a message is being written, and has no way to take that message back. So for a
        device that does not read, this waits until it does, or until its connection is over.
        """
        self._closed.cancel()
        self._outgoing.clear()
        self._put(None)
        for task in filter(None, (self._reader, self._writer)):
            task.add_done_callback(_report)
        if self._writer is not None:
            await asyncio.wait([self._writer])

    def _put(self, message: bytes | None) -> None:
        self._outgoing.append(message)
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _write(self, context: Any) -> None:
        while True:
            while self._outgoing:
                message = self._outgoing.popleft()
                if message is None:
                    return
                await context.write(message)
            self._wake = self._loop.create_future()
            await self._wake

    async def _read(self, context: Any, deliver: Callable[[bytes], None]) -> None:
        while (message := await context.read()) is not grpc.aio.EOF and not self._closed.done():
            deliver(message)


def _report(task: asyncio.Task[None]) -> None:
    error = None if task.cancelled() else task.exception()
    # gRPC's own errors say that the stream is over, which is known by then.
    if error is not None and not isinstance(error, grpc.aio.BaseError):
        log.error("a device's stream failed: %r", error, exc_info=error)
