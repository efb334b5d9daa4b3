"""The aggregator as a process: listens until it is told to stop."""

import asyncio
import gc
import resource
import signal
from collections.abc import Callable

from aggregator.server import MOST_CONNECTIONS, Aggregator

try:
    from uvloop import new_event_loop
except ModuleNotFoundError:  # an extra: it makes a request cost less of the processor
    from asyncio import new_event_loop  # type: ignore[assignment]


def serve(aggregator: Aggregator, announce: Callable[[str], None]) -> None:
    """Blocks until SIGTERM or SIGINT, then drains. `announce` is called with the address once it listens.

    Raises ListenError when the address cannot be had.
    """
    _allow_many_connections()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(_serve(aggregator, announce))


async def _serve(aggregator: Aggregator, announce: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with aggregator:
        # Modules and the bundle stay for good: looking through them again and again would hold up requests,
        # and whatever ended streams have left, in reference cycles, would stay for longer.
        gc.collect()
        gc.freeze()
        announce(aggregator.address)
        await stop.wait()


def _allow_many_connections() -> None:
    """Each takes a file descriptor, and many systems begin with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_CONNECTIONS
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
