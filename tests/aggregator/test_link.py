"""One device's stream, against a stand-in for gRPC's context: its real reads cannot be looked into."""

import asyncio
from typing import Any

import grpc

from aggregator.link import Link


class Context:
    """Messages to read, and whether a read was cancelled."""

    def __init__(self, *messages: bytes) -> None:
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self.cancelled = False
        for message in messages:
            self._messages.put_nowait(message)

    async def read(self) -> Any:
        try:
            return await self._messages.get()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def end(self) -> None:
        self._messages.put_nowait(grpc.aio.EOF)

    async def write(self, _: bytes) -> None:
        await asyncio.sleep(0)


async def read_nothing_after_the_close() -> None:
    context = Context(b"good", b"too much")
    link, heard = Link(1), list[bytes]()

    def deliver(message: bytes) -> None:
        heard.append(message)
        if message == b"too much":
            link.close(grpc.StatusCode.RESOURCE_EXHAUSTED, "shut out")

    code, reason = await link.run(context, deliver)
    await link.finish()
    assert (code, reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "shut out")
    context.end()  # as gRPC does once the stream has its status
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*others), 10)
    assert heard == [b"good", b"too much"]
    assert not context.cancelled, "gRPC would never free what it had read meanwhile"


def test_the_last_read_of_a_stream_that_is_closed_comes_to_its_own_end() -> None:
    asyncio.run(read_nothing_after_the_close())
