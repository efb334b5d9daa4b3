"""Which device hosts which students: a pure function, called again after every change.

What is hosted stays where it is. A device without students gets one at once: an orphan (a student that no
living device hosts), those of uncovered parts first and of those one that suits its speed; else it takes
students over from the devices that have most to do, for as long as that makes the slowest faster; else it
becomes a replica. Devices that have students are given orphans only when those are `due`. A student that was
taken over leaves its old device when the new one serves it: make before break.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aggregator.model import Student


@dataclass(frozen=True, slots=True)
class Host:
    """A living device. students: hosted, loading ones too; serving: those that are loaded.

    former: students that it hosted before it was lost. cached: students whose file it has.
    refused: students that did not pass their self-test on it. busy: what is taken from it stays for a while.
    speed: 10^9 multiply-adds a second, of students whose seconds for one image it has not measured.
    parallel: students that it computes at a time.
    """

    device_id: str
    students: frozenset[int] = frozenset()
    serving: frozenset[int] = frozenset()
    former: frozenset[int] = frozenset()
    cached: frozenset[int] = frozenset()
    refused: frozenset[int] = frozenset()
    memory_bytes: int = 0
    speed: float = 0.0
    parallel: int = 1
    busy: bool = False
    seconds: Mapping[int, float] = field(default_factory=dict)

    def time(self, student: Student) -> float:
        """Seconds for one image."""
        return self.seconds.get(student.index) or student.cost / (1e9 * (self.speed or 1.0))


def place(
    students: Sequence[Student], hosts: Sequence[Host], due: Collection[int] = ()
) -> dict[str, frozenset[int]]:
    """The students of each living device, by its id; `hosts` in the order in which they joined.

    students[i].index is i. due: orphans that need not wait for a device without students any longer.
    """
    plan = _Plan(students, hosts)
    plan.trim()
    for host in sorted(hosts, key=plan.choosiness):
        if not plan.held[host.device_id]:
            plan.fill(host)
    plan.adopt(student for student in due if not plan.holders[student])
    return {device: frozenset(held) for device, held in plan.held.items()}


class _Plan:
    def __init__(self, students: Sequence[Student], hosts: Sequence[Host]) -> None:
        self.students = students
        self.hosts = hosts
        self.held = {host.device_id: set(host.students) for host in hosts}
        self.holders = Counter(student for host in hosts for student in host.students)
        self.taken: dict[int, str] = {}  # students that a device takes over from the one that has them

    def choosiness(self, host: Host) -> tuple[int, float]:
        """Who can take few students is asked before them, and then the fastest."""
        return sum(self._fits(host, student.index) for student in self.students), -host.speed

    def fill(self, host: Host) -> None:
        """Give a device without students what it had, or one student."""
        for student in sorted(host.former):
            if not self.holders[student] and self._fits(host, student):
                self._give(host, student)
        if self.held[host.device_id]:
            return
        usable = {student.index for student in self.students if self._fits(host, student.index)}
        orphans = [student for student in usable if not self.holders[student]]
        movable = {s: load for s, load in self._movable().items() if s in usable}
        if orphans:
            self._give(host, self._most_fitting(host, orphans))
        elif movable:
            self._relieve(host, movable)
        elif usable:
            self._give(host, min(usable, key=lambda s: (*self._redundancy(s), s not in host.cached, s)))

    def _most_fitting(self, host: Host, orphans: Sequence[int]) -> int:
        """Uncovered parts first, then what is on its disk, then as much work as its rank in speed."""
        speeds = sorted(other.speed for other in self.hosts)
        rank = (bisect_left(speeds, host.speed) + bisect_right(speeds, host.speed)) / (2 * len(speeds))
        costs = sorted(student.cost for student in self.students)
        wanted = costs[min(int(rank * len(costs)), len(costs) - 1)]
        return min(
            orphans,
            key=lambda s: (
                self._covered(s),
                s not in host.cached,
                abs(self.students[s].cost - wanted),
                s,
            ),
        )

    def _relieve(self, host: Host, movable: dict[int, tuple[float, int]]) -> None:
        """Take students over from whoever has most to do, one at least."""
        while movable:
            student = max(movable, key=lambda s: (movable[s], s in host.cached, s))
            if self.held[host.device_id] and self._load(host, student) >= movable[student]:
                return
            self.taken[student] = host.device_id
            self._give(host, student)
            movable = {s: load for s, load in self._movable().items() if self._fits(host, s)}

    def adopt(self, orphans: Iterable[int]) -> None:
        """Give each orphan to the device that then has least to do, where any has room or can make some."""
        waiting = set(orphans)
        while waiting:
            student = min(waiting, key=lambda s: (self._covered(s), -self.students[s].cost, s))
            waiting.remove(student)
            able = [host for host in self.hosts if self._fits(host, student)]
            at_once = [host for host in able if not host.busy or self._fits_beside(host, student)]
            able = at_once or able
            if not able:
                able = [h for h in self.hosts if self._fits(h, student, without=self._spare(h))]
            if able:
                chosen = min(able, key=lambda host: self._load(host, student))
                self._make_room(chosen, student)
                self._give(chosen, student)

    def trim(self) -> None:
        """Take from the busiest host of each student, if it has several, what another one serves too."""
        for student in range(len(self.students)):
            hosts = [host for host in self.hosts if student in self.held[host.device_id]]
            while several := [host for host in hosts if len(self.held[host.device_id]) > 1]:
                busiest = max(several, key=self._burden)
                if not any(student in host.serving for host in hosts if host is not busiest):
                    break
                hosts.remove(busiest)
                self.held[busiest.device_id].remove(student)
                self.holders[student] -= 1

    def _give(self, host: Host, student: int) -> None:
        self.held[host.device_id].add(student)
        self.holders[student] += 1

    def _make_room(self, host: Host, student: int) -> None:
        for spare in sorted(self._spare(host)):
            if not self._fits(host, student):
                self.held[host.device_id].remove(spare)
                self.holders[spare] -= 1

    def _spare(self, host: Host) -> frozenset[int]:
        """Students that another device serves as well."""
        others = [other for other in self.hosts if other is not host]
        return frozenset(
            student
            for student in self.held[host.device_id]
            if any(student in o.serving and student in self.held[o.device_id] for o in others)
        )

    def _fits(self, host: Host, student: int, without: Collection[int] = ()) -> bool:
        held = self.held[host.device_id]
        if student in held or student in host.refused:
            return False
        needed = sum(self.students[s].memory_bytes for s in (*(held - set(without)), student))
        return host.memory_bytes == 0 or needed <= host.memory_bytes

    def _fits_beside(self, host: Host, student: int) -> bool:
        """Whether the student fits even while the device keeps what is taken from it."""
        needed = sum(
            self.students[s].memory_bytes for s in self.held[host.device_id] | host.students | {student}
        )
        return host.memory_bytes == 0 or needed <= host.memory_bytes

    def _movable(self) -> dict[int, tuple[float, int]]:
        """Students that a device may give away and still have one of its own, with the device's load."""
        movable = {}
        for host in self.hosts:
            sole = self._sole(host)
            if len(sole) > 1:
                movable.update(dict.fromkeys(sole, self._load(host)))
        return movable

    def _sole(self, host: Host) -> list[int]:
        """Students that only this device hosts, or is to host."""
        return [
            student
            for student in self.held[host.device_id]
            if self.holders[student] == 1 or self.taken.get(student) == host.device_id
        ]

    def _load(self, host: Host, *extra: int) -> tuple[float, int]:
        """Seconds that an image takes for its sole students, and their number."""
        students = [*self._sole(host), *extra]
        return self._seconds(host, students), len(students)

    def _burden(self, host: Host) -> float:
        """Seconds that an image takes for all that the device holds."""
        return self._seconds(host, self.held[host.device_id])

    def _seconds(self, host: Host, students: Iterable[int]) -> float:
        """For one image, at the most, if each core takes the next student when it is done with one (Graham).

        More for every student: of devices that differ by a hair, the faster one is not given all.
        """
        times = [host.time(self.students[student]) for student in students]
        last = (host.parallel - 1) * max(times, default=0.0)
        return math.fsum([*times, last]) / host.parallel  # the same in any order

    def _covered(self, student: int) -> bool:
        part = self.students[student].part
        return any(other.part == part and self.holders[other.index] for other in self.students)

    def _redundancy(self, student: int) -> tuple[int, int]:
        """Hosts of the student's part, and of the student itself."""
        part = self.students[student].part
        hosts = sum(self.holders[other.index] for other in self.students if other.part == part)
        return hosts, self.holders[student]
