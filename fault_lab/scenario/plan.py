"""From a scenario to what is done to whom and when: the same for the same seed, on every ground."""

import fnmatch
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from bundle import MAX_STUDENTS
from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.fault import AnyFault
from fault_lab.scenario.model import Scenario

AGGREGATOR: Final = -1
UNKNOWN: Final = -2  # and below: some device of part 0, of part 1, ...
Hosts = Mapping[int, Collection[int]]  # part -> indices of the devices that serve it
CHOICES: Final = "all, a device, a pattern such as device-[0-3], part N or random N"


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault on one device (its index, or AGGREGATOR). begin, end: seconds after the load has begun; the
    same for what is over at once.
    """

    number: int
    fault: AnyFault
    device: int
    begin: float
    end: float

    @property
    def target(self) -> str:
        if self.device <= UNKNOWN:
            return f"part {UNKNOWN - self.device}"
        return "aggregator" if self.device == AGGREGATOR else f"device-{self.device}"

    def contradicts(self, other: "Injection") -> bool:
        unknown = min(self.device, other.device) <= UNKNOWN and max(self.device, other.device) >= 0
        return (
            (self.device == other.device or unknown)
            and self.fault.group is other.fault.group
            and self.begin <= other.end
            and other.begin <= self.end
        )


class _Unknown(Mapping[int, Collection[int]]):
    """Parts whose devices are not known yet: each may be that of any other target."""

    def __init__(self, parts: int | None) -> None:
        self._parts = MAX_STUDENTS if parts is None else parts

    def __getitem__(self, part: int) -> Collection[int]:
        if 0 <= part < self._parts:
            return (UNKNOWN - part,)
        raise KeyError(part)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._parts))

    def __len__(self) -> int:
        return self._parts


def make_plan(scenario: Scenario, seed: int, hosts: Hosts) -> tuple[Injection, ...]:
    """In the order of their beginnings. hosts: by part, the devices that serve it when the load begins.

    `random N` draws from the devices that nothing contradictory happens to; what is named goes first.
    Raises ScenarioError (its `fault` tells which) for a target that matches nothing, a fault that is not over
    when the load ends, and faults that contradict each other.
    """
    random = Random(f"nonn plan {seed}")
    found: list[Injection] = []
    order = sorted(range(len(scenario.fault)), key=lambda index: _is_random(scenario.fault[index]))
    for index in order:
        fault = scenario.fault[index]
        try:
            _inject(scenario, fault, hosts, random, found)
        except ScenarioError as error:
            raise ScenarioError(str(error), fault=index) from None
    return tuple(sorted(found, key=lambda injection: (injection.begin, injection.number)))


def check_plan(scenario: Scenario, parts: int | None = None) -> None:
    """As far as it can be checked before the cluster runs: which devices serve a part is not known yet.

    parts: of the bundle, when that is known. Raises ScenarioError as `make_plan` does.
    """
    make_plan(scenario, scenario.seed, _Unknown(parts))


def _inject(
    scenario: Scenario,
    fault: AnyFault,
    hosts: Hosts,
    random: Random,
    found: list[Injection],
) -> None:
    for turn in range(fault.times):
        begin = fault.at + turn * (fault.every or 0.0)
        for place, device in enumerate(_devices(scenario, fault, begin, hosts, random, found)):
            start = begin + place * fault.stagger
            end = _end(scenario, fault, start)
            injection = Injection(len(found), fault, device, start, end)
            for other in found:
                drawn = _is_random(fault) and other.device <= UNKNOWN  # it will keep away from those
                if injection.contradicts(other) and not drawn:
                    raise ScenarioError(
                        f"{fault.type} of {injection.target} from {start:g} s to {end:g} s contradicts its "
                        f"{other.fault.type} from {other.begin:g} s to {other.end:g} s: both decide "
                        f"{fault.group.value}"
                    )
            found.append(injection)


def _end(scenario: Scenario, fault: AnyFault, start: float) -> float:
    lasting = scenario.seconds if fault.duration is None else start + fault.duration
    end = start if fault.instant else lasting
    if end > scenario.seconds or start >= scenario.seconds:
        raise ScenarioError(
            f"{fault.type} from {start:g} s to {end:g} s is not over when the load ends, "
            f"after {scenario.seconds:g} s: raise seconds, or begin earlier"
        )
    return end


def _is_random(fault: AnyFault) -> bool:
    return any(target.startswith("random") for target in fault.targets)


def _devices(
    scenario: Scenario, fault: AnyFault, begin: float, hosts: Hosts, random: Random, found: list[Injection]
) -> list[int]:
    if fault.of_aggregator:
        return [AGGREGATOR]
    chosen: list[int] = []
    for target in fault.targets:
        if match := re.fullmatch(r"random (\d+)", target, re.ASCII):
            chosen += _draw(scenario, fault, begin, int(match[1]), chosen, random, found)
        else:
            chosen += [device for device in _named(scenario, target, hosts) if device not in chosen]
    return chosen


def _draw(
    scenario: Scenario,
    fault: AnyFault,
    begin: float,
    count: int,
    chosen: list[int],
    random: Random,
    found: list[Injection],
) -> list[int]:
    latest = begin + max(count - 1, 0) * fault.stagger
    span = (begin, max(_end(scenario, fault, latest), latest))
    known = [other for other in found if other.device >= 0]
    free = [
        device
        for device in range(scenario.cluster.devices)
        if device not in chosen
        and not any(Injection(-1, fault, device, *span).contradicts(other) for other in known)
    ]
    if not 0 < count <= len(free):
        raise ScenarioError(
            f"target: random {count} of {len(free)} devices that can be chosen at {begin:g} s"
        )
    return sorted(random.sample(free, count))


def _named(scenario: Scenario, target: str, hosts: Hosts) -> Sequence[int]:
    names = scenario.cluster.names
    if target == "all":
        return range(len(names))
    if match := re.fullmatch(r"part (\d+)", target, re.ASCII):
        if (serving := hosts.get(int(match[1]))) is None:
            raise ScenarioError(f"target: {target!r}: the bundle has parts 0 to {len(hosts) - 1}")
        return sorted(serving)
    matching = [index for index, name in enumerate(names) if fnmatch.fnmatchcase(name, target)]
    if not matching:
        raise ScenarioError(f"target: {target!r} matches none of {names[0]} to {names[-1]}: use {CHOICES}")
    return matching
