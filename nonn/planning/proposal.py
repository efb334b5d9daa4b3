"""Parts, students and their places for uneven devices, so that the slowest of them keeps to a latency budget.

One student a device, as wide as the device can compute in time and hold; parts in proportion to the widths of
their students. What is proposed is put to the test: `aggregator.placement` places it, as it will in the
cluster, and a student that ends up where it is too slow is made narrower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aggregator.model import Student
from aggregator.placement import Host, place
from bundle import MAX_STUDENTS
from bundle.footprint import student_bytes
from nonn.planning.devices import Device
from nonn.planning.networks import Cost, Image, Network, student_cost

# Steps of an eighth, then of a quarter.
WIDTHS: Final = (*(step / 8 for step in range(1, 8)), *(step / 4 for step in range(4, 17)))
BYTES_A_PARAMETER: Final = 4
MOST_BUDGET: Final = 1e7  # milliseconds; who needs more does not need a plan


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be planned. budget: milliseconds that one image may take on any device.

    replicas: students of each part. depth: of all students.
    """

    filters: int
    classes: int
    image: Image
    budget: float
    replicas: int = 1
    depth: int = 16

    def cost(self, width: float, filters: int) -> Cost:
        return student_cost(Network(self.depth, width), self.image, filters, self.classes)

    def memory(self, cost: Cost) -> int:
        """Bytes that a student takes on a device, by the estimate that the aggregator places by."""
        shape = self.image.height, self.image.width, self.image.channels
        return student_bytes(BYTES_A_PARAMETER * cost.parameters, shape)


@dataclass(frozen=True, slots=True)
class Part:
    """One part, and each of its students. filters: its target size. memory_bytes: of a student, estimated."""

    network: Network
    filters: int
    cost: Cost
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class LeftOut:
    """needed: milliseconds, or bytes, with which the device could take part; 0: there is enough of it."""

    device: Device
    needed_budget: float
    needed_memory: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """placement: students of each device, by its name, the fastest first; student i is of part i mod parts.

    spare: devices that would do for a student, of which there are none left for them.
    """

    task: Task
    parts: tuple[Part, ...]
    placement: Mapping[Device, tuple[int, ...]]
    spare: tuple[Device, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def students(self) -> int:
        return len(self.parts) * self.task.replicas

    def part_of(self, student: int) -> Part:
        return self.parts[student % len(self.parts)]

    def milliseconds(self, device: Device) -> float:
        held = self.placement[device]
        return device.milliseconds(sum(self.part_of(student).cost.multiply_adds for student in held))

    def memory(self, device: Device) -> int:
        return sum(self.part_of(student).memory_bytes for student in self.placement[device])


@dataclass(frozen=True, slots=True)
class Impossible:
    """able: devices that can take the narrowest student of one filter. They are too few for the replicas, or
    cannot take the filters that would fall to them.

    enough: milliseconds of budget with which there is a plan; None: none does, since memory or devices lack.
    """

    task: Task
    able: int
    left_out: tuple[LeftOut, ...]
    enough: float | None


def propose(task: Task, devices: Sequence[Device]) -> Proposal | Impossible:
    """devices: at least one, with names of their own."""
    proposal = _attempt(task, devices)
    if proposal is not None:
        return proposal
    left_out = _left_out(task, devices)
    return Impossible(task, len(devices) - len(left_out), left_out, _enough(task, devices))


def _enough(task: Task, devices: Sequence[Device]) -> float | None:
    """A budget that does, to a hundredth; None when none does."""
    low, high = task.budget, 2 * task.budget
    while _attempt(replace(task, budget=high), devices) is None:
        low, high = high, 2 * high
        if high > MOST_BUDGET:
            return None
    while high > 1.01 * low:
        middle = (low + high) / 2
        if _attempt(replace(task, budget=middle), devices) is None:
            low = middle
        else:
            high = middle
    return high


def _attempt(task: Task, devices: Sequence[Device]) -> Proposal | None:
    ordered = sorted(devices, key=lambda device: (-device.speed, device.name))
    left_out = _left_out(task, ordered)
    able = [device for device in ordered if device not in {one.device for one in left_out}]
    parts = min(min(len(able), MAX_STUDENTS) // task.replicas, task.filters)
    while parts:
        members = able[: parts * task.replicas]
        settled = _settle(task, members)
        if settled is not None:
            return Proposal(task, *settled, tuple(able[len(members) :]), left_out)
        parts -= 1  # the slowest were too slow even for the smallest share that falls to them
    return None


def _left_out(task: Task, devices: Sequence[Device]) -> tuple[LeftOut, ...]:
    found = (_shortcoming(task, device) for device in devices)
    return tuple(one for one in found if one is not None)


def _shortcoming(task: Task, device: Device) -> LeftOut | None:
    least = task.cost(WIDTHS[0], 1)
    budget, memory = device.milliseconds(least.multiply_adds), task.memory(least)
    slow, small = budget > task.budget, memory > device.memory_bytes
    return LeftOut(device, budget if slow else 0.0, memory if small else 0) if slow or small else None


def _settle(
    task: Task, members: Sequence[Device]
) -> tuple[tuple[Part, ...], Mapping[Device, tuple[int, ...]]] | None:
    """As wide as can be for these devices, the fastest first; None when even the narrowest does not do."""
    groups = [members[i : i + task.replicas] for i in range(0, len(members), task.replicas)]
    steps = [_widest(task, group) for group in groups]
    while True:
        parts = _parts(task, steps)
        placement = _place(task, parts, members)
        trouble = _trouble(task, parts, members, placement)
        if not trouble:
            return parts, placement
        narrowed = max(trouble, key=lambda part: parts[part].cost.multiply_adds)
        if steps[narrowed] == 0:
            return None
        steps[narrowed] -= 1


def _widest(task: Task, group: Sequence[Device]) -> int:
    """Index of the widest student that each of the devices can take, for a part of one filter."""
    costs = [task.cost(width, 1) for width in WIDTHS]
    return max(i for i, cost in enumerate(costs) if all(_suits(task, device, cost) for device in group))


def _suits(task: Task, device: Device, cost: Cost) -> bool:
    in_time = device.milliseconds(cost.multiply_adds) <= task.budget
    return in_time and task.memory(cost) <= device.memory_bytes


def _parts(task: Task, steps: Sequence[int]) -> tuple[Part, ...]:
    networks = [Network(task.depth, WIDTHS[step]) for step in steps]
    sizes = share_out(task.filters, [network.features for network in networks])
    costs = [task.cost(network.width, size) for network, size in zip(networks, sizes, strict=True)]
    found = zip(networks, sizes, costs, strict=True)
    return tuple(Part(network, size, cost, task.memory(cost)) for network, size, cost in found)


def share_out(filters: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Sizes in proportion to the weights, each at least 1; largest remainders. len(weights) <= filters."""
    rest, whole = filters - len(weights), sum(weights)
    sizes = [1 + rest * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(rest * weights[i] % whole), i))
    for part in by_remainder[: filters - sum(sizes)]:
        sizes[part] += 1
    return tuple(sizes)


def _place(task: Task, parts: Sequence[Part], members: Sequence[Device]) -> Mapping[Device, tuple[int, ...]]:
    """Where the aggregator puts the students once all these devices have joined."""
    students = [
        Student(i, i % len(parts), str(i), part.memory_bytes, part.cost.multiply_adds)
        for i, part in enumerate([*parts] * task.replicas)
    ]
    hosts = [
        Host(device.name, memory_bytes=device.memory_bytes, speed=device.speed / 1e6) for device in members
    ]
    placed = place(students, hosts, due=range(len(students)))
    return {device: tuple(sorted(placed[device.name])) for device in members}


def _trouble(
    task: Task,
    parts: Sequence[Part],
    members: Sequence[Device],
    placement: Mapping[Device, tuple[int, ...]],
) -> set[int]:
    """Parts of which a student is where it cannot be computed in time, beside another, or nowhere.

    There are as many devices as students: who has two has one that was too large for another device.
    """
    hosted = {student for held in placement.values() for student in held}
    trouble = {i % len(parts) for i in range(len(members)) if i not in hosted}
    for device, held in placement.items():
        load = sum(parts[student % len(parts)].cost.multiply_adds for student in held)
        if len(held) > 1 or device.milliseconds(load) > task.budget:
            trouble |= {student % len(parts) for student in held}
    return trouble
