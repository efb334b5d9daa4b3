"""Whether this process was held up: stopped by a signal, starved, or paused with its container."""

import time
from collections.abc import Callable
from typing import Final

BEAT_SECONDS: Final = 0.25  # between beats, while the event loop runs as it should
STALL_SECONDS: Final = 1.0  # without a beat
BURST_SECONDS: Final = 0.1  # that reading takes what has piled up meanwhile


class Pulse:
    """Told to beat at least every BEAT_SECONDS and before each message is looked at; on the clock of `now`.

    Messages carry no time of their own, so one counts as received when it is read. What is read right after a
    stall was sent at some time during it: it counts as received when the stall began, or else works that
    nobody waits for any more would be computed before those that someone does.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = self._resumed = now()
        self._stalled = self._last

    def beat(self) -> bool:
        """Whether the process has just been held up."""
        before, self._last = self._last, self._now()
        stalled = self._last - before >= STALL_SECONDS
        if stalled:
            self._stalled, self._resumed = before, self._last
        return stalled

    def received(self) -> float:
        """When a message that is read now counts as received."""
        self.beat()
        in_burst = self._last - self._resumed < BURST_SECONDS
        return self._stalled if in_burst else self._last
