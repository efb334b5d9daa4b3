"""The way between one device and the aggregator, and the streams that run over it.

A stream keeps its messages in order and loses none, as TCP does, unless its way is harsh: then single
messages are lost, doubled or overtaken, which a sound core must survive too. A black hole keeps messages
until it ends, as TCP would by sending them again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from fault_lab.simulation.clock import Clock
from fault_lab.simulation.line import Line
from fault_lab.simulation.sizes import TOY, Sizes


@dataclass(frozen=True, slots=True)
class Harshness:
    """Chances, for each message: to be lost, to come twice, to be overtaken."""

    loss: float = 0.0
    double: float = 0.0
    overtake: float = 0.0


GENTLE = Harshness()


class Way:
    """One direction, which outlives the streams in it. delay, jitter: seconds; slowed: by what factor.

    added, wobble: seconds that faults add to this, and by how much that varies either way.
    line: shared by all streams, and without a limit of its bandwidth unless it is given one.
    harmed: a message has been lost, doubled or overtaken, so that both ends may disagree for good.
    """

    def __init__(self, clock: Clock, random: Random, delay: float, jitter: float, sizes: Sizes = TOY) -> None:
        self.clock = clock
        self.random = random
        self.slowed = 1.0
        self.added = self.wobble = 0.0
        self.line = Line(clock)
        self.harshness = GENTLE
        self.harmed = False
        self._delay = delay
        self._jitter = jitter
        self._sizes = sizes
        self._black_holes = 0
        self._kept: list[tuple[Stream, Any]] = []

    @property
    def open(self) -> bool:
        return self._black_holes == 0

    def seconds(self) -> float:
        """That the next message is under way, however large it is."""
        seconds = self.slowed * (self._delay + self._jitter * self.random.random())
        if self.added:
            seconds += max(0.0, self.added + self.wobble * (2.0 * self.random.random() - 1.0))
        return seconds

    def size(self, message: Any) -> int:
        return self._sizes.of(message)

    def close(self) -> None:
        """A black hole begins."""
        self._black_holes += 1

    def reopen(self) -> None:
        """It ends; what was kept goes on."""
        self._black_holes -= 1
        if self.open:
            kept, self._kept = self._kept, []
            for stream, message in kept:
                stream.send(message)

    def keep(self, stream: "Stream", message: Any) -> None:
        self._kept.append((stream, message))


class Stream:
    """One direction of one connection. deliver: called with each message when it arrives."""

    def __init__(self, way: Way, deliver: Callable[[Any], None]) -> None:
        self._way = way
        self._deliver = deliver
        self._cut = False
        self._latest = 0.0

    def send(self, message: Any, *, extra: float = 0.0, faithful: bool = False) -> None:
        """extra: seconds more than usual. faithful: not subject to harshness."""
        way = self._way
        if self._cut:
            return
        if not way.open:
            way.keep(self, message)
            return
        way.line.take(
            way.size(message),
            lambda: self._set_out(message, extra, faithful=faithful),
            lambda: self._cut,
        )

    def cut(self) -> None:
        """What is on its way is lost, and whatever is sent from now on."""
        self._cut = True

    def _set_out(self, message: Any, extra: float, *, faithful: bool) -> None:
        """The line has taken it."""
        way = self._way
        arrival = way.clock.now + way.seconds() + extra
        if way.harshness is not GENTLE and not faithful:
            self._send_harshly(arrival, message)
            return
        self._latest = max(self._latest, arrival)
        way.clock.at(self._latest, self._arrive, message)

    def _send_harshly(self, arrival: float, message: Any) -> None:
        way, harsh = self._way, self._way.harshness
        chance = way.random.random()
        if chance < harsh.loss:
            way.harmed = True
            return
        chance -= harsh.loss
        if chance < harsh.double:
            way.harmed = True
            way.clock.at(max(self._latest, arrival) + 10 * way.seconds(), self._arrive, message)
        elif chance < harsh.double + harsh.overtake:
            way.harmed = True
            way.clock.at(arrival + 10 * way.seconds(), self._arrive, message)
            return
        self._latest = max(self._latest, arrival)
        way.clock.at(self._latest, self._arrive, message)

    def _arrive(self, message: Any) -> None:
        if not self._cut:
            self._deliver(message)
