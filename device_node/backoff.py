"""How long to wait before the next attempt."""

from random import Random
from typing import Final

FIRST_SECONDS: Final = 0.2
MOST_SECONDS: Final = 5.0


class Backoff:
    """Doubling waits, each shortened by up to half at random, so that devices do not return in step."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._next = FIRST_SECONDS

    def wait(self) -> float:
        """Seconds until the next attempt."""
        longest = self._next
        self._next = min(longest * 2, MOST_SECONDS)
        return longest * self._random.uniform(0.5, 1.0)

    def hold_back(self, seconds: float) -> None:
        """The next wait is for about so long."""
        self._next = seconds

    def reset(self) -> None:
        self._next = FIRST_SECONDS
