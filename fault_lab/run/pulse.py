"""Whether the callers themselves were held up, so that they cannot say when an answer came."""

import asyncio
import math
import time
from typing import Final

BEAT: Final = 0.01  # seconds between two beats
# Seconds that a beat may be late. The aggregator answers 0.05 s before a deadline; half of that is the way.
STALL: Final = 0.025
MEMORY: Final = 0.3  # seconds before its deadline in which a caller must not have been held up


class Pulse:
    """`run` beats on the callers' event loop. On a machine with too little time for all, beats come late."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._stalled = -math.inf  # when a late beat came last

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT)
            if time.monotonic() - self._beat > BEAT + STALL:
                self._stalled = time.monotonic()

    def held_up(self) -> bool:
        """Lately, or until just now."""
        now = time.monotonic()
        return now - self._beat > BEAT + STALL or now - self._stalled < MEMORY
