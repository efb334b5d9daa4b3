"""What is seen of a simulated cluster while a scenario runs: samples, and how long it took to recover."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.status import State
from fault_lab.record import Fall, Sample
from fault_lab.scenario import Injection
from fault_lab.simulation.cluster import Cluster

# Virtual seconds between two looks, and how many of them make a sample.
LOOK: Final = 0.05
LOOKS_A_SAMPLE: Final = 5


@dataclass(slots=True, eq=False)
class _Watched:
    """lost: something was lost since it began. recovered: None until the cluster was whole after its end."""

    injection: Injection
    lost: bool = False
    closed: bool = False
    recovered: float | None = None


class View:
    """Looks from the moment it is made. The cluster must be whole then: that is what it compares with."""

    def __init__(self, cluster: Cluster, injections: Sequence[Injection]) -> None:
        self._cluster = cluster
        self._begin = cluster.clock.now
        self._served = cluster.served()
        self._watched = [_Watched(injection) for injection in injections]
        self._samples: list[Sample] = []
        self._looks = 0
        self._stopped = False
        self._look()

    def stop(self) -> None:
        self._stopped = True

    @property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(self._samples)

    @property
    def falls(self) -> tuple[Fall, ...]:
        """Of those that have begun."""
        now = self._cluster.clock.now - self._begin
        return tuple(
            Fall(i.fault.type, i.target, i.begin, i.end, watched.recovered)
            for watched in self._watched
            if (i := watched.injection).begin <= now
        )

    def _look(self) -> None:
        if self._stopped:
            return
        clock = self._cluster.clock
        if self._looks % LOOKS_A_SAMPLE == 0:
            self._samples.append(self._sample(clock.now - self._begin))
        self._see_falls(clock.now - self._begin)
        self._looks += 1
        clock.at(self._begin + self._looks * LOOK, self._look)

    def _see_falls(self, now: float) -> None:
        open_ = [w for w in self._watched if not w.closed and w.injection.begin <= now]
        if not open_:
            return
        whole = self._whole()
        for watched in open_:
            if not whole:
                watched.lost = True
            elif watched.lost and watched.injection.end <= now:
                watched.closed = True
                if not self._disturbed(watched.injection, now):
                    watched.recovered = now - watched.injection.end

    def _disturbed(self, injection: Injection, now: float) -> bool:
        """Whether another fault lasted longer, or had begun by now."""
        return any(
            other.injection.begin <= now and other.injection.end > injection.end for other in self._watched
        )

    def _whole(self) -> bool:
        cluster = self._cluster
        return cluster.front.listening and not cluster.unsettled() and cluster.served() >= self._served

    def _sample(self, at: float) -> Sample:
        cluster = self._cluster
        if not cluster.front.running:
            return Sample(at, serving=0, students=0, parts=0, expected_accuracy=0.0)
        status = cluster.watch.status(cluster.clock.now)
        serving = [d for d in status.devices if d.state is State.SERVING]
        served = [student for student in status.students if student.devices]
        return Sample(
            at,
            serving=len(serving),
            students=len(served),
            parts=len({student.part for student in served}),
            expected_accuracy=status.expected_accuracy,
        )
