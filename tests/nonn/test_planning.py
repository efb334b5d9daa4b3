"""Plans are pure: what must hold for any devices and tasks is checked for many of them."""

import math
import tomllib
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aggregator import Core, Model, Settings, events
from aggregator.effects import Assign
from aggregator.model import Student
from bundle import MAX_STUDENTS, InputSpec, Merger
from bundle.footprint import PROCESS_BYTES
from device_node import machine
from fault_lab.containers.boards import BOARDS
from nonn.errors import UsageError
from nonn.planning.devices import Device, distinct, of_benchmark, of_board, of_boards, parse_device
from nonn.planning.networks import Image, Network, parse_network, student_cost
from nonn.planning.proposal import WIDTHS, Impossible, Proposal, Task, propose, share_out
from nonn.planning.words import explain, snippet

MB = 1_000_000
CIFAR = Task(filters=128, classes=10, image=Image(32, 32, 3), budget=10.0)

SPEEDS = st.floats(1e4, 1e8)
DEVICES = st.lists(st.tuples(SPEEDS, st.integers(5, 400)), min_size=1, max_size=20).map(
    lambda pairs: [Device(f"d{i}", s, m * MB, "typed in") for i, (s, m) in enumerate(pairs)]
)
TASKS = st.builds(
    Task,
    filters=st.integers(1, 300),
    classes=st.integers(2, 100),
    image=st.builds(Image, st.integers(8, 40), st.integers(8, 40), st.integers(1, 3)),
    budget=st.floats(0.01, 100),
    replicas=st.integers(1, 3),
    depth=st.sampled_from([10, 16]),
)


def device(name: str, speed: float, megabytes: int = 1000) -> Device:
    return Device(name, speed, megabytes * MB, "measured")


def planned(task: Task, *devices: Device) -> Proposal:
    found = propose(task, devices)
    assert isinstance(found, Proposal)
    return found


# ---- what networks cost


@pytest.mark.parametrize(
    ("depth", "width", "filters", "classes", "image"),
    [
        (16, 1, 32, 100, (32, 32, 3)),
        (10, 0.25, 8, 10, (8, 8, 1)),
        (22, 0.75, 5, 7, (33, 30, 3)),
        (16, 2, 17, 3, (28, 28, 1)),
        (10, 0.05, 4, 3, (9, 7, 2)),
    ],
)
def test_costs_are_those_that_are_counted(
    depth: int, width: float, filters: int, classes: int, image: tuple[int, int, int]
) -> None:
    import torch

    from student_builder import networks
    from student_builder.student import Student as Built

    height, wide, channels = image
    built = Built(f"wrn-{depth}-{width}", channels, torch.zeros(classes, filters))
    cost = student_cost(Network(depth, width), Image(*image), filters, classes)
    assert cost.multiply_adds == networks.count_multiply_adds(built, (channels, height, wide))
    assert cost.parameters == networks.count_parameters(built)


@pytest.mark.parametrize("width", WIDTHS)
def test_names_are_those_of_the_experiment_file(width: float) -> None:
    from student_builder.networks import parse_architecture

    network = Network(16, width)
    assert parse_network(network.name) == network
    assert parse_architecture(network.name, 3).channels_out == network.features


@pytest.mark.parametrize("name", ["", "wrn-16", "wrn-17-1", "wrn-4-1", "wrn-16-0", "resnet-18", "wrn-16-1e9"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="wrn-16-1"):
        parse_network(name)


# ---- what must hold of every plan


@settings(deadline=None, max_examples=30)
@given(TASKS, DEVICES)
def test_a_plan_keeps_to_budget_and_memory_and_covers_everything(task: Task, devices: list[Device]) -> None:
    found = propose(task, devices)
    assume(isinstance(found, Proposal))
    assert isinstance(found, Proposal)
    assert sum(part.filters for part in found.parts) == task.filters
    assert min(part.filters for part in found.parts) >= 1
    assert found.students == len(found.parts) * task.replicas <= MAX_STUDENTS
    assert sorted(found.placement.values()) == [(student,) for student in range(found.students)]
    for one in found.placement:
        assert found.milliseconds(one) <= task.budget
        assert found.memory(one) <= one.memory_bytes
    named = [*found.placement, *found.spare, *(out.device for out in found.left_out)]
    assert sorted(one.name for one in named) == sorted(one.name for one in devices)


@settings(deadline=None, max_examples=20)
@given(TASKS, DEVICES)
def test_where_there_is_no_plan_it_says_what_would_help(task: Task, devices: list[Device]) -> None:
    found = propose(replace(task, budget=task.budget / 1000), devices)
    assume(isinstance(found, Impossible))
    assert isinstance(found, Impossible)
    if found.enough is not None:
        assert found.enough > found.task.budget
        assert isinstance(propose(replace(task, budget=found.enough), devices), Proposal)
    else:
        least = task.memory(task.cost(WIDTHS[0], 1))
        able = [one for one in devices if one.memory_bytes >= least]
        assert len(able) < len(devices) or task.replicas > len(devices)
    assert "There is no plan" in "\n".join(explain(devices, found))


@settings(deadline=None, max_examples=20)
@given(TASKS, DEVICES)
def test_a_plan_is_what_an_experiment_file_takes(task: Task, devices: list[Device]) -> None:
    from student_builder.experiment import PartitionSection, StudentsSection

    found = propose(task, devices)
    assume(isinstance(found, Proposal))
    assert isinstance(found, Proposal)
    tables = tomllib.loads(snippet(found))
    students = StudentsSection.model_validate(tables["students"])
    assert PartitionSection.model_validate(tables["partition"]).part_count == len(found.parts)
    assert students.count == found.students
    for number, part in enumerate(found.parts):
        assert students.architecture_of(number) == part.network.name


@given(st.lists(st.integers(1, 256), min_size=1, max_size=16), st.integers(0, 500))
def test_sizes_are_in_proportion(weights: list[int], more: int) -> None:
    filters = len(weights) + more
    sizes = share_out(filters, weights)
    assert sum(sizes) == filters
    assert min(sizes) >= 1
    for size, weight in zip(sizes, weights, strict=True):
        assert abs(size - 1 - more * weight / sum(weights)) < 1


@settings(deadline=None, max_examples=20)
@given(DEVICES, st.permutations(range(20)))
def test_the_aggregator_places_as_was_planned(devices: list[Device], order: list[int]) -> None:
    """A plan's times hold in the cluster, in whatever order its devices join, if they know their speed."""
    found = propose(replace(CIFAR, budget=5.0), devices)
    assume(isinstance(found, Proposal))
    assert isinstance(found, Proposal)
    students = tuple(
        Student(i, i % len(found.parts), f"{i:064x}", found.part_of(i).memory_bytes, cost)
        for i in range(found.students)
        for cost in [found.part_of(i).cost.multiply_adds]
    )
    merger = Merger([s.part for s in students], [0.0], [[0.0]] * len(students), "mean")
    model = Model("b" * 64, InputSpec(32, 32, 3), students, merger, accuracy=None)  # type: ignore[arg-type]
    core, members = Core(model, Settings()), list(found.placement)
    told: dict[int, tuple[tuple[str, int], ...]] = {}
    for link in sorted(range(len(members)), key=lambda i: order[i]):
        one = members[link]
        facts = events.DeviceFacts(one.name, one.name, memory_bytes=one.memory_bytes, speed=one.speed / 1e6)
        told |= {
            e.link: e.students for e in core.handle(0.0, events.Joined(link, facts)) if isinstance(e, Assign)
        }
    told |= {e.link: e.students for e in core.handle(1.5, events.Tick()) if isinstance(e, Assign)}
    for link, one in enumerate(members):
        cost = sum(students[student].cost for _, student in told[link])
        assert one.milliseconds(cost) <= 5.0


# ---- some plans, looked at


def test_a_student_too_large_for_the_last_device_is_made_narrower_and_not_put_elsewhere() -> None:
    """Else that device would hold what another one holds already, and a third one two."""
    memory, speeds = (54, 15, 38, 17), (18e6, 4.7e5, 6.7e6, 78e6)
    devices = [
        device(f"d{i}", speed, megabytes)
        for i, (speed, megabytes) in enumerate(zip(speeds, memory, strict=True))
    ]
    found = planned(Task(279, 11, Image(28, 29, 2), budget=27.4, depth=10), *devices)
    assert sorted(found.placement.values()) == [(0,), (1,), (2,), (3,)]


def test_equal_devices_get_equal_parts_and_students() -> None:
    found = planned(CIFAR, *(device(f"d{i}", 1e7) for i in range(4)))
    assert [part.filters for part in found.parts] == [32] * 4
    assert len({part.network for part in found.parts}) == 1
    assert 'architecture = "wrn-16-' in snippet(found)


def test_the_faster_device_gets_the_wider_student_and_the_larger_part() -> None:
    fast, slow = device("fast", 4e7), device("slow", 1e7)
    found = planned(CIFAR, slow, fast)
    ((at_fast,), (at_slow,)) = found.placement[fast], found.placement[slow]
    assert found.part_of(at_fast).network.width > found.part_of(at_slow).network.width
    assert found.part_of(at_fast).filters > found.part_of(at_slow).filters


def test_a_device_without_memory_is_left_out_and_told_how_much_it_needs() -> None:
    found = planned(CIFAR, device("well", 1e7), device("tiny", 1e7, megabytes=5))
    (out,) = found.left_out
    assert (out.device.name, out.needed_budget) == ("tiny", 0.0)
    assert out.needed_memory > 5 * MB
    assert "tiny is left out" in "\n".join(explain(list(found.placement), found))


def test_more_devices_than_students_are_spare() -> None:
    found = planned(CIFAR, *(device(f"d{i:02}", 1e7) for i in range(20)))
    assert (found.students, len(found.spare)) == (MAX_STUDENTS, 4)


def test_too_few_devices_are_not_helped_by_memory() -> None:
    found = propose(replace(CIFAR, replicas=3), [device("well", 1e7), device("tiny", 1e7, megabytes=5)])
    assert isinstance(found, Impossible)
    said = "\n".join(explain([device("well", 1e7)], found))
    assert "and there are 2.\n   What would help: more devices, or fewer --replicas." in said
    assert "more memory" not in said


def test_too_little_memory_is_said() -> None:
    found = propose(replace(CIFAR, replicas=2), [device("well", 1e7), device("tiny", 1e7, megabytes=5)])
    assert isinstance(found, Impossible)
    assert "What would help: devices with more memory," in "\n".join(explain([], found))


def test_replicas_are_on_devices_of_their_own() -> None:
    found = planned(replace(CIFAR, replicas=2), *(device(f"d{i}", 1e7) for i in range(4)))
    assert [len(held) for held in found.placement.values()] == [1] * 4
    assert len(found.parts) == 2


# ---- devices


def test_a_device_that_is_typed_in() -> None:
    found = parse_device("attic:12.5:900", reference=25_000_000)
    assert found == Device("attic", 2_000_000, 900 * MB, "typed in")


def test_a_board_is_an_estimate() -> None:
    assert parse_device("attic:pi4", reference=1) == of_board("attic", "pi4")
    assert of_board("attic", "pi4").source == "estimate"
    assert of_board("a", "pi5").speed > of_board("a", "pi4").speed > of_board("a", "zero2").speed
    assert [one.name for one in of_boards("pi4:2,zero2:1")] == ["pi4-1", "pi4-2", "zero2-1"]


@pytest.mark.parametrize("board", BOARDS)
def test_a_board_is_planned_with_what_a_device_offers_there(
    board: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside_the_device = BOARDS[board].free_mb * MB - PROCESS_BYTES
    monkeypatch.setattr(machine, "available_memory", lambda: beside_the_device)
    assert of_board("attic", board).memory_bytes == machine.memory_for_students()


@pytest.mark.parametrize(
    "text", ["", ":1:2", "a", "a:b", "a:pi9", "a:0:5", "a:5:0", "a:nan:5", "a:1:2:3", "a:-1:2", "a:x:2"]
)
def test_devices_that_make_no_sense(text: str) -> None:
    with pytest.raises(UsageError):
        parse_device(text, reference=1)


@pytest.mark.parametrize("document", [[], {}, {"students": []}, {"students": [{}]}, None])
def test_what_is_no_benchmark(document: object) -> None:
    with pytest.raises(UsageError, match=r"a\.json"):
        of_benchmark(document, "a.json")  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["memory_bytes", "multiply_adds", "median"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 0, pytest.param(10**400, id="huge")])
def test_a_benchmark_with_figures_of_no_device(field: str, value: float) -> None:
    figures: dict[str, float] = {"memory_bytes": 10**9, "multiply_adds": 10**7, "median": 2.0, field: value}
    one_image = {"threads": 1, "batch": 1, "milliseconds": {"median": figures["median"]}}
    cost = {"multiply_adds": figures["multiply_adds"], "measurements": [one_image]}
    students = [{"precision": "fp32", **cost}]
    document = {"name": "a", "memory_bytes": figures["memory_bytes"], "students": students}
    with pytest.raises(UsageError, match=r"a\.json"):
        of_benchmark(document, "a.json")


def test_names_are_distinct() -> None:
    with pytest.raises(UsageError, match="two devices are named a"):
        distinct([device("a", 1), device("a", 2)])
    with pytest.raises(UsageError, match="no devices"):
        distinct([])
