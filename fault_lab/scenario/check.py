"""Whether a scenario can be carried out, before it is known which devices serve which part and who is drawn.

What passes with a known bundle fails with no seed, on no cluster that has each student on one device, and two
on one only where there are more students than devices:

- a part may be on as many devices as it has students, and on any of them;
- whoever is drawn may be anybody that is not named, and each draw may hit others.

While the bundle is not known, a part counts as one device: more is refused once it is.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from bundle import MAX_STUDENTS, Manifest
from fault_lab.scenario import targets
from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.fault import AnyFault, Group
from fault_lab.scenario.injection import AGGREGATOR, UNKNOWN, Injection, Spans, Taken
from fault_lab.scenario.model import Scenario

Parts = int | Sequence[int] | None


def check_plan(scenario: Scenario, parts: Parts = None) -> None:
    """parts: how many the bundle has; better, how many students each of them has.

    Raises ScenarioError as `make_plan` does.
    """
    check = _Check(scenario, parts)
    for index, fault in targets.in_order(scenario):
        with targets.blaming(index):
            check.add(fault)


def students_of_parts(manifest: Manifest) -> tuple[int, ...]:
    """How many each part of a bundle has, for `check_plan` and `check_faults`."""
    students = Counter(student.part for student in manifest.students)
    return tuple(students[part] for part in range(manifest.parts))


class _Check:
    def __init__(self, scenario: Scenario, parts: Parts) -> None:
        self._scenario = scenario
        self._sizes = None if parts is None or isinstance(parts, int) else parts
        self._number = parts if parts is None or isinstance(parts, int) else len(parts)
        self._count = 0
        self._taken = Taken(sharing=sum(self._sizes or ()) > scenario.cluster.devices)
        self._drawn: dict[Group, Spans] = defaultdict(Spans)

    def add(self, fault: AnyFault) -> None:
        for begin in targets.begins(fault):
            turn = _Turn(fault, begin)
            for target in fault.targets:
                if (count := targets.drawn(target)) is not None:
                    self._draw(turn, count)
                elif (part := targets.part(target)) is not None:
                    self._take(turn, UNKNOWN - part, self._size(part, target))
                else:
                    for device in targets.named(self._scenario, target):
                        self._take(turn, device)
            if fault.of_aggregator:
                self._take(turn, AGGREGATOR)
            for start, end, count in turn.drawn:
                self._drawn[fault.group].add(start, end, count)

    def _take(self, turn: "_Turn", device: int, most: int = 1) -> None:
        if device in turn.chosen:
            return
        start, end = self._stretch(turn, turn.surely(device), most)
        turn.chosen.add(device)
        fault = turn.fault
        injection = Injection(self._count, fault, device, start, end)
        if (other := self._taken.contradicting(injection)) is not None:
            raise targets.contradiction(injection, other)
        if self._drawn[fault.group].count(start, end):
            raise ScenarioError(
                f"{fault.type} of {injection.target} from {start:g} s to {end:g} s may contradict what is "
                f"drawn at random before it: both decide {fault.group.value}"
            )
        self._taken.add(injection)

    def _draw(self, turn: "_Turn", count: int) -> None:
        group = turn.fault.group
        _, end = self._stretch(turn, count, count)
        named = turn.chosen | {
            device
            for device in range(self._scenario.cluster.devices)
            if self._taken.on(device, group, turn.begin, end) is not None
        }
        parts = {UNKNOWN - device for device in turn.chosen if device <= UNKNOWN}
        parts.update(self._taken.parts(group, turn.begin, end))
        before = self._drawn[group].count(turn.begin, end) + sum(many for *_, many in turn.drawn)
        free = self._scenario.cluster.devices - sum(device >= 0 for device in named) - before
        free = max(free - self._room(parts), 0)
        if not 0 < count <= free:
            why = [f"part {part} may take {self._most(part)}" for part in sorted(parts)]
            why += [f"{before} may be drawn before"] if before else []
            said = f" ({', '.join(why)})" if why else ""
            raise ScenarioError(
                f"target: random {count} of {free} devices that can be chosen at {turn.begin:g} s{said}"
            )
        turn.drawn.append((turn.begin, end, count))

    def _stretch(self, turn: "_Turn", fewest: int, most: int) -> tuple[float, float]:
        """From the earliest beginning of the next targets, so many of them, to their latest end."""
        fault = turn.fault
        start = turn.begin + turn.first * fault.stagger
        latest = turn.begin + (turn.last + max(most, 1) - 1) * fault.stagger
        end = targets.end_of(self._scenario, fault, latest)
        turn.first += fewest
        turn.last += most
        self._count += most
        targets.check_number(self._count)
        return start, end

    # ---- parts

    def _size(self, part: int, target: str) -> int:
        if self._number is None and part >= MAX_STUDENTS:
            raise ScenarioError(f"target: {target!r}: a bundle has parts 0 to {MAX_STUDENTS - 1} at the most")
        if self._number is not None and part >= self._number:
            raise targets.no_such_part(target, self._number)
        return self._most(part)

    def _most(self, part: int) -> int:
        """Devices that serve it."""
        return 1 if self._sizes is None else min(self._sizes[part], self._scenario.cluster.devices)

    def _room(self, parts: Collection[int]) -> int:
        most = sum(map(self._most, parts))
        return min(most, 1) if self._sizes is None else most  # one device may serve them all


@dataclass(slots=True)
class _Turn:
    """One of the times that a fault comes. chosen: devices, and parts as unknown ones. drawn: from when to
    when, and how many. first, last: places that the next target may have.
    """

    fault: AnyFault
    begin: float
    chosen: set[int] = field(default_factory=set)
    drawn: list[tuple[float, float, int]] = field(default_factory=list)
    first: int = 0
    last: int = 0

    def surely(self, device: int) -> int:
        """How many devices more it hits at the least: what is named now may have been hit already."""
        vague = self.drawn or any(chosen <= UNKNOWN for chosen in self.chosen)
        return 0 if vague or (self.chosen and device <= UNKNOWN) else 1
