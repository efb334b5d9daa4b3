"""Placement is pure: what must hold for any devices and students is checked for many of them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from aggregator.model import Student
from aggregator.placement import Host, place

Sets = dict[str, frozenset[int]]


def students(parts: tuple[int, ...], memory: int = 1) -> list[Student]:
    return [Student(index, part, str(index), memory, cost=1) for index, part in enumerate(parts)]


def host(name: str, *held: int, serving: bool = True, **fields: object) -> Host:
    base = Host(name, frozenset(held), frozenset(held) if serving else frozenset())
    return replace(base, **fields)  # type: ignore[arg-type]


def loaded(hosts: list[Host], placement: Sets) -> list[Host]:
    """The same devices once they serve what they were given."""
    return [replace(h, students=placement[h.device_id], serving=placement[h.device_id]) for h in hosts]


FOUR = students((0, 1, 0, 1))


def test_devices_without_students_cover_parts_before_replicas() -> None:
    placement = place(students((0, 0, 1, 1)), [host("a"), host("b"), host("c"), host("d")])
    assert placement == {"a": {0}, "b": {2}, "c": {1}, "d": {3}}


def test_orphans_that_are_not_due_wait_for_a_device_without_students() -> None:
    assert place(FOUR, [host("a", 0)]) == {"a": {0}}
    assert place(FOUR, [host("a", 0), host("b")]) == {"a": {0}, "b": {1}}


def test_orphans_that_are_due_spread_over_the_devices_by_load() -> None:
    placement = place(FOUR, [host("a", 0), host("b", 1)], due=[2, 3])
    assert sorted(map(len, placement.values())) == [2, 2]
    assert set().union(*placement.values()) == {0, 1, 2, 3}


def test_a_device_twice_as_fast_takes_twice_the_students() -> None:
    six = students((0, 1, 2, 0, 1, 2))
    placement = place(six, [host("fast", speed=2.0), host("slow", speed=1.0)], due=range(6))
    assert (len(placement["fast"]), len(placement["slow"])) == (4, 2)


def test_a_device_that_computes_two_at_a_time_takes_twice_the_students() -> None:
    six = students((0, 1, 2, 0, 1, 2))
    placement = place(six, [host("two", parallel=2), host("one")], due=range(6))
    assert (len(placement["two"]), len(placement["one"])) == (4, 2)


def test_of_devices_with_cores_to_spare_none_takes_all_for_being_a_little_faster() -> None:
    eight = students((0, 1, 2, 3, 4, 5, 6, 7))
    hosts = [
        host(f"pi-{i}", parallel=4, seconds=dict.fromkeys(range(8), seconds))
        for i, seconds in enumerate((0.100, 0.102, 0.103, 0.101))
    ]
    assert {len(held) for held in place(eight, hosts, due=range(8)).values()} == {2}


def test_no_student_is_divided_among_cores() -> None:
    large = [replace(student, cost=10**9) for student in students((0, 1))]
    placement = place(large, [host("cores", parallel=64), host("fast", speed=1.5)], due=[0])
    assert placement["fast"] >= {0}


def test_seconds_that_were_measured_count_and_speed_only_where_none_were() -> None:
    six = [replace(student, cost=10**9) for student in students((0, 1, 2, 0, 1, 2))]
    measured = host("measured", speed=1.0, seconds=dict.fromkeys(range(6), 0.1))
    placement = place(six, [measured, host("not", speed=5.0)], due=range(6))
    assert (len(placement["measured"]), len(placement["not"])) == (4, 2)


def test_the_faster_of_two_devices_gets_the_larger_student() -> None:
    uneven = [replace(student, cost=cost) for student, cost in zip(students((0, 1)), (10, 30), strict=True)]
    slow, fast = host("slow", speed=1.0), host("fast", speed=3.0)
    assert place(uneven, [slow, fast]) == place(uneven, [fast, slow]) == {"slow": {0}, "fast": {1}}


def test_large_students_are_given_out_before_small_ones() -> None:
    uneven = [replace(s, cost=cost) for s, cost in zip(students((0, 1, 2)), (10, 10, 20), strict=True)]
    placement = place(uneven, [host("a", refused=frozenset({0, 1})), host("b")], due=range(3))
    assert placement == {"a": {2}, "b": {0, 1}}


def test_a_new_device_takes_over_from_one_that_has_several_which_keeps_it_meanwhile() -> None:
    three = students((0, 1, 2))
    assert place(three, [host("a", 0, 1, 2), host("b")]) == {"a": {0, 1, 2}, "b": {2}}


def test_the_old_device_gives_a_student_up_when_the_new_one_serves_it() -> None:
    three = students((0, 1, 2))
    assert place(three, [host("a", 0, 1, 2), host("b", 2)]) == {"a": {0, 1}, "b": {2}}


def test_a_device_is_never_robbed_of_its_last_student() -> None:
    assert place(FOUR, [host("a", 0, 1), host("b", 1, serving=False), host("c")])["c"] != {0}


def test_one_device_too_many_becomes_a_replica_of_the_thinnest_part() -> None:
    hosts = [host("a", 0), host("b", 1), host("c", 2), host("d", 3), host("e", 0), host("f")]
    assert place(FOUR, hosts)["f"] == {1}


def test_a_device_that_returns_gets_its_students_back_while_nobody_has_them() -> None:
    back = host("b", former=frozenset({2, 3}))
    assert place(FOUR, [host("a", 0, 1), back])["b"] == {2, 3}
    assert place(FOUR, [host("a", 0, 1, 2), back])["b"] == {3}


def test_a_student_that_is_on_the_devices_disk_is_preferred_among_equals() -> None:
    assert place(FOUR, [host("a", cached=frozenset({1}))])["a"] == {1}


def test_a_student_that_failed_on_a_device_goes_elsewhere() -> None:
    hosts = [host("a", refused=frozenset({0})), host("b")]
    assert place(FOUR, hosts) == {"a": {1}, "b": {0}}


def test_no_device_takes_more_than_its_memory() -> None:
    hosts = [host("a", memory_bytes=2), host("b", memory_bytes=1)]
    placement = place(FOUR, hosts, due=range(4))
    assert (len(placement["a"]), len(placement["b"])) == (2, 1)


def test_a_full_replica_makes_room_for_an_uncovered_part() -> None:
    hosts = [host("a", 0, memory_bytes=1), host("b", 0, memory_bytes=1)]
    assert place(students((0, 1)), hosts, due=[1]) == {"a": {1}, "b": {0}}


def test_a_device_that_has_room_now_goes_before_one_that_will_have_it() -> None:
    soon, now = host("soon", 0, 1, memory_bytes=2), host("now", 1, memory_bytes=2)
    three = students((0, 1, 2))
    assert place(three, [soon, now], due=[2]) == {"soon": {0, 2}, "now": {1}}
    assert place(three, [replace(soon, busy=True), now], due=[2]) == {"soon": {0}, "now": {1, 2}}


PART_LISTS = st.integers(1, 4).flatmap(
    lambda parts: st.lists(st.integers(0, parts - 1), max_size=6).map(lambda extra: (*range(parts), *extra))
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Student], list[Host]]:
    everyone = [
        replace(student, memory_bytes=draw(st.integers(1, 3)), cost=draw(st.integers(1, 5)))
        for student in students(draw(PART_LISTS))
    ]
    subset = st.frozensets(st.integers(0, len(everyone) - 1), max_size=4)
    hosts = []
    for number in range(draw(st.integers(0, 6))):
        held = draw(subset)
        memory = draw(st.sampled_from([0, 1, 2, 4, 8]))
        if memory and sum(everyone[s].memory_bytes for s in held) > memory:
            held = frozenset()
        serving = held & draw(subset)
        refused = draw(subset) - held
        speed = draw(st.sampled_from([0.0, 0.5, 3.0]))
        parallel = draw(st.sampled_from([1, 2, 256]))
        former, cached = draw(subset), draw(subset)
        seconds = draw(st.dictionaries(st.integers(0, len(everyone) - 1), st.sampled_from([1e-9, 0.02, 0.5])))
        known = Host(f"d{number}", held, serving, former, cached, refused, memory, speed, parallel)
        hosts.append(replace(known, seconds=seconds))
    return everyone, hosts


def holders(placement: Sets, student: int) -> set[str]:
    return {device for device, held in placement.items() if student in held}


@given(situations())
def test_a_healthy_student_is_not_moved_without_need(situation: tuple[list[Student], list[Host]]) -> None:
    everyone, hosts = situation
    placement = place(everyone, hosts, due=range(len(everyone)))
    for device in hosts:
        for student in device.students - placement[device.device_id]:
            assert any(student in other.serving and student in placement[other.device_id] for other in hosts)
        if device.students:
            assert placement[device.device_id]


@given(situations())
def test_memory_and_refusals_are_respected(situation: tuple[list[Student], list[Host]]) -> None:
    everyone, hosts = situation
    placement = place(everyone, hosts, due=range(len(everyone)))
    for device in hosts:
        held = placement[device.device_id]
        assert not (held - device.students) & device.refused
        if device.memory_bytes:
            assert sum(everyone[s].memory_bytes for s in held) <= device.memory_bytes


@given(situations())
def test_every_student_is_hosted_where_any_device_has_room(
    situation: tuple[list[Student], list[Host]],
) -> None:
    everyone, hosts = situation
    placement = place(everyone, hosts, due=range(len(everyone)))
    for student in everyone:
        if holders(placement, student.index):
            continue
        for device in hosts:
            needed = student.memory_bytes + sum(everyone[s].memory_bytes for s in placement[device.device_id])
            assert student.index in device.refused or 0 < device.memory_bytes < needed


@given(situations())
def test_no_device_stays_idle_that_could_do_something(situation: tuple[list[Student], list[Host]]) -> None:
    everyone, hosts = situation
    placement = place(everyone, hosts)
    for device in hosts:
        if placement[device.device_id]:
            continue
        for student in everyone:
            fits = device.memory_bytes == 0 or student.memory_bytes <= device.memory_bytes
            assert student.index in device.refused or not fits


@given(situations())
def test_placement_comes_to_rest(situation: tuple[list[Student], list[Host]]) -> None:
    everyone, hosts = situation
    for _ in range(len(hosts) * len(everyone) + 2):
        placement = place(everyone, hosts, due=range(len(everyone)))
        settled = loaded(hosts, placement)
        if settled == hosts:
            return
        hosts = settled
    raise AssertionError(f"still moving: {hosts}")


@given(PART_LISTS, st.integers(1, 12))
def test_devices_that_join_one_by_one_share_the_students_evenly(parts: tuple[int, ...], count: int) -> None:
    everyone, hosts = students(parts), list[Host]()
    for number in range(count):
        hosts.append(host(f"d{number}"))
        hosts = loaded(hosts, place(everyone, hosts, due=range(len(everyone))))
        hosts = loaded(hosts, place(everyone, hosts))
    placement = {device.device_id: device.students for device in hosts}
    assert set().union(*placement.values()) == set(range(len(everyone)))
    if count >= len(everyone):
        assert {len(held) for held in placement.values()} == {1}
        replicas = [sum(everyone[s].part == part for h in hosts for s in h.students) for part in set(parts)]
        natural = [parts.count(part) for part in set(parts)]
        assert max(replicas) - min(replicas) <= max(1, max(natural) - min(natural))
    else:
        assert sum(map(len, placement.values())) == len(everyone)
