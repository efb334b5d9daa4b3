"""Reading from a stream with an end to patience."""

import asyncio
from typing import Any

# Whatever came while this process was held up is there within so many seconds after that.
SECOND_LOOK = 0.2


async def read_within(context: Any, seconds: float) -> Any:
    """The next message, or grpc.aio.EOF. Raises TimeoutError.

    A read that takes too long is left to its own end: gRPC never frees the message of one that was cancelled.
    """
    reading = asyncio.ensure_future(context.read())
    for patience in (seconds, SECOND_LOOK):
        done, _ = await asyncio.wait({reading}, timeout=patience)
        if done:
            return reading.result()
    reading.add_done_callback(_ignore)
    raise TimeoutError


def _ignore(reading: asyncio.Future[Any]) -> None:
    if not reading.cancelled():
        reading.exception()
