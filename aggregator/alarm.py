"""When the core next has something to do without being asked."""

import math


class Alarm:
    """Keeps the earliest time asked for. Ringing too early is harmless: whoever is woken looks again."""

    def __init__(self) -> None:
        self.due = math.inf

    def at(self, time: float) -> None:
        self.due = min(self.due, time)

    def clear(self) -> None:
        self.due = math.inf
