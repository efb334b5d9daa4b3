"""From a scenario to what is done to whom and when: the same for the same seed, on every ground."""

from collections.abc import Collection, Mapping
from random import Random

from fault_lab.scenario import targets
from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.fault import AnyFault
from fault_lab.scenario.injection import AGGREGATOR, Injection, Taken
from fault_lab.scenario.model import Scenario

Hosts = Mapping[int, Collection[int]]  # part -> indices of the devices that serve it


def make_plan(scenario: Scenario, seed: int, hosts: Hosts) -> tuple[Injection, ...]:
    """In the order of their beginnings. hosts: by part, the devices that serve it when the load begins.

    `random N` draws from the devices that nothing contradictory happens to; what is named goes first.
    Raises ScenarioError (its `fault` tells which) for a target that matches nothing, a fault that is not over
    when the load ends, faults that contradict each other, and too many of them.
    """
    plan = _Plan(scenario, seed, hosts)
    for index, fault in targets.in_order(scenario):
        with targets.blaming(index):
            plan.add(fault)
    return tuple(sorted(plan.found, key=lambda injection: (injection.begin, injection.number)))


class _Plan:
    def __init__(self, scenario: Scenario, seed: int, hosts: Hosts) -> None:
        self.found: list[Injection] = []
        self._scenario = scenario
        self._hosts = hosts
        self._random = Random(f"nonn plan {seed}")
        self._taken = Taken()

    def add(self, fault: AnyFault) -> None:
        for begin in targets.begins(fault):
            for place, device in enumerate(self._devices(fault, begin)):
                start = begin + place * fault.stagger
                end = targets.end_of(self._scenario, fault, start)
                injection = Injection(len(self.found), fault, device, start, end)
                self._add(injection)

    def _add(self, injection: Injection) -> None:
        targets.check_number(len(self.found) + 1)
        if (other := self._taken.contradicting(injection)) is not None:
            raise targets.contradiction(injection, other)
        self.found.append(injection)
        self._taken.add(injection)

    def _devices(self, fault: AnyFault, begin: float) -> list[int]:
        if fault.of_aggregator:
            return [AGGREGATOR]
        chosen: list[int] = []
        for target in fault.targets:
            count = targets.drawn(target)
            devices = self._named(target) if count is None else self._draw(fault, begin, count, chosen)
            chosen += [device for device in devices if device not in chosen]
        return chosen

    def _named(self, target: str) -> Collection[int]:
        part = targets.part(target)
        if part is None:
            return targets.named(self._scenario, target)
        if part not in self._hosts:
            raise targets.no_such_part(target, len(self._hosts))
        return sorted(self._hosts[part])

    def _draw(self, fault: AnyFault, begin: float, count: int, chosen: Collection[int]) -> list[int]:
        latest = begin + (len(chosen) + max(count - 1, 0)) * fault.stagger
        end = max(targets.end_of(self._scenario, fault, latest), latest)
        free = [
            device
            for device in range(self._scenario.cluster.devices)
            if device not in chosen and self._taken.on(device, fault.group, begin, end) is None
        ]
        if not 0 < count <= len(free):
            raise ScenarioError(
                f"target: random {count} of {len(free)} devices that can be chosen at {begin:g} s"
            )
        return sorted(self._random.sample(free, count))
