"""The aggregator as a process: listens until it is told to stop."""

import asyncio
import signal
from collections.abc import Callable

from aggregator.server import Aggregator

try:
    from uvloop import new_event_loop
except ModuleNotFoundError:  # an extra: it makes a request cost less of the processor
    from asyncio import new_event_loop  # type: ignore[assignment]


def serve(aggregator: Aggregator, announce: Callable[[str], None]) -> None:
    """Blocks until SIGTERM or SIGINT, then drains. `announce` is called with the address once it listens.

    Raises ListenError when the address cannot be had.
    """
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(aggregator, announce))


async def _serve(aggregator: Aggregator, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with aggregator:
        announce(aggregator.address)
        await stop.wait()
