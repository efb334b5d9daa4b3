"""The callers of a simulated cluster, and what becomes of their requests."""

import functools
from random import Random
from typing import Final

from aggregator import effects
from aggregator.policy import Policy
from fault_lab.record import Ending, Outcome
from fault_lab.scenario import Scenario
from fault_lab.simulation.cluster import Cluster
from fault_lab.simulation.front import Told
from fault_lab.simulation.scenario import Ask

# Seconds: of the shortest way there and back, and until a caller in a loop that found nobody asks again.
ROUND_TRIP: Final = 0.001
AGAIN: Final = 0.02


class Callers:
    """Open or closed loop, from the moment they are made. started: that moment, on the cluster's clock."""

    def __init__(self, scenario: Scenario, seed: int, cluster: Cluster) -> None:
        self.started = cluster.clock.now
        self._load = scenario.load
        self._policy = Policy.parse(scenario.load.policy)
        self._cluster = cluster
        self._random = Random(f"nonn callers {seed}")
        self._outcomes: dict[int, Outcome] = {}
        self._open: dict[int, float] = {}  # requests without an outcome, and when they were sent
        self._count = 0
        self._stopped = False
        if self._load.rate is not None:
            self._arrive()
        for _ in range(self._load.clients or 0):
            cluster.clock.after(self._load.pause * self._random.random(), self._ask)

    def stop(self) -> None:
        """Ask nothing more."""
        self._stopped = True

    def outcomes(self, end: float) -> tuple[Outcome, ...]:
        """Of every request. Those that have none at `end`, on the cluster's clock, have lost it."""
        for number, sent in list(self._open.items()):
            self._conclude(number, sent, end - sent, Ending.LOST, code="the run ended")
        return tuple(self._outcomes[number] for number in sorted(self._outcomes))

    def _arrive(self) -> None:
        """Requests come independently of each other, so that many may come at a time."""
        self._cluster.clock.after(self._random.expovariate(self._load.rate or 1.0), self._next_arrival)

    def _next_arrival(self) -> None:
        if not self._stopped:
            self._arrive()
            self._ask()

    def _ask(self) -> None:
        if self._stopped:
            return
        self._count += 1
        clock, load = self._cluster.clock, self._load
        number, sent = self._count, clock.now
        self._open[number] = sent
        ask = Ask(sent, load.images, 0.0, load.deadline, strict=load.strict, policy=self._policy)
        request = self._cluster.front.ask(ask, functools.partial(self._hear, number, sent))
        if number in self._open:
            clock.at(sent + load.deadline + ROUND_TRIP, self._give_up, number, sent, request)

    def _hear(self, number: int, sent: float, told: Told) -> None:
        seconds = self._cluster.clock.now - sent
        match told:
            case effects.Answer(answered=answered, missing=missing, expected_accuracy=expected):
                self._conclude(
                    number,
                    sent,
                    seconds,
                    Ending.ANSWERED,
                    answered=answered,
                    missing=missing,
                    expected_accuracy=expected,
                )
            case effects.Refuse(code=code):
                self._conclude(number, sent, seconds, Ending.REFUSED, code=code.name)
            case _:
                self._conclude(number, sent, seconds, Ending.UNREACHABLE, code="UNAVAILABLE")

    def _give_up(self, number: int, sent: float, request: int) -> None:
        """A hung aggregator is no more within reach than one that has ended."""
        if number not in self._open:
            return
        front = self._cluster.front
        hung = not front.listening or front.back >= sent
        self._conclude(
            number,
            sent,
            self._load.deadline,
            Ending.UNREACHABLE if hung else Ending.LOST,
            code="DEADLINE_EXCEEDED",
        )
        front.cancel(request)

    def _conclude(
        self,
        number: int,
        sent: float,
        seconds: float,
        ending: Ending,
        *,
        code: str = "",
        answered: tuple[int, ...] = (),
        missing: tuple[int, ...] = (),
        expected_accuracy: float | None = None,
    ) -> None:
        del self._open[number]
        self._outcomes[number] = Outcome(
            number,
            sent - self.started,
            seconds,
            ending,
            self._load.images,
            code=code,
            answered=answered,
            missing=missing,
            expected_accuracy=expected_accuracy,
        )
        if self._load.clients is not None:
            wait = AGAIN if ending is Ending.UNREACHABLE else ROUND_TRIP
            self._cluster.clock.after(max(self._load.pause, wait), self._ask)
