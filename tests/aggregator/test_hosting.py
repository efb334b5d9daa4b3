"""What measured speeds, late joiners and the set of survivors lead to, on a virtual clock."""

import dataclasses

import numpy as np

from aggregator import Core, Settings, events
from aggregator.effects import Assign, Prepare
from bundle import Merger
from tests.aggregator.virtual import CLASSES, PARTS, Cluster, make_model


def test_the_faster_device_takes_more_students() -> None:
    cluster = Cluster()
    slow, fast = cluster.join(), cluster.join()
    for link, speed in ((slow, 1.0), (fast, 2.0)):
        (student,) = cluster.assigned[link]
        cluster.do(events.Ready(link, cluster.model.bundle_id, student, True, speed=speed))
    cluster.wait(1.0)
    assert (len(cluster.assigned[slow]), len(cluster.assigned[fast])) == (2, 4)
    speeds = {device.facts.name: device.speed for device in cluster.core.status(cluster.now).devices}
    assert speeds == {f"d{slow}": 1.0, f"d{fast}": 2.0}


def test_a_device_of_unknown_speed_counts_as_an_average_one() -> None:
    cluster = Cluster()
    links = [cluster.join(speed=3.0), cluster.join(speed=0.0)]
    cluster.wait(1.0)
    assert [len(cluster.assigned[link]) for link in links] == [3, 3]


def test_a_late_joiner_takes_over_until_the_load_is_even() -> None:
    cluster = Cluster()
    first = cluster.serve(1)[0]
    second = cluster.join()
    assert len(cluster.assigned[first]) == 6, "nothing leaves its old device before the new one serves it"
    assert len(cluster.assigned[second]) == 3
    cluster.ready(second)
    assert len(cluster.assigned[first]) == 3
    third = cluster.join()
    assert len(cluster.assigned[third]) == 2


def test_merges_are_prepared_aside_whenever_the_survivors_change() -> None:
    plain = make_model()
    covariance = np.eye(len(PARTS) * CLASSES)
    merger = Merger(PARTS, plain.merger.bias, plain.merger.means, "ridge", covariance)
    cluster = Cluster()
    cluster.core = Core(dataclasses.replace(plain, merger=merger), Settings())
    links = cluster.serve(6)
    prepared = [effect for effect in cluster.log if isinstance(effect, Prepare)]
    assert prepared[-1].students == (0, 1, 2, 3, 4, 5)
    (student,) = cluster.assigned[links[2]]
    found = cluster.do(events.Gone(links[2], "crashed"))
    assert Prepare(plain.bundle_id, tuple({0, 1, 2, 3, 4, 5} - {student})) in found
    assert not [effect for effect in cluster.do(events.Tick()) if isinstance(effect, Prepare | Assign)]


def test_a_prepared_merge_needs_no_more_systems_solved() -> None:
    covariance = np.eye(len(PARTS) * CLASSES)
    merger = Merger(PARTS, np.ones(CLASSES), np.zeros((len(PARTS), CLASSES)), "ridge", covariance)
    merger.prepare((0, 1, 2, 3, 4, 5))
    merger.prepare((0, 1))
    partials = {student: np.ones((1, CLASSES), np.float32) for student in range(6)}
    before = merger._cached_estimator.cache_info()
    for students in ([1, 2, 3, 4, 5], [0, 1, 2, 3, 4], [0], [1], [0, 1], range(6)):
        merger.merge({student: partials[student] for student in students})
    assert merger._cached_estimator.cache_info().misses == before.misses == 6 + 3


# ---- what students take, and in which precision


def uneven(cluster: Cluster) -> Cluster:
    """Part 0 is of students that take three times what the others do."""
    students = tuple(
        dataclasses.replace(student, cost=300 if student.part == 0 else 100)
        for student in cluster.model.students
    )
    cluster.model = dataclasses.replace(cluster.model, students=students)
    cluster.core = Core(cluster.model, cluster.settings)
    return cluster


def with_twins(cluster: Cluster, *students: int) -> Cluster:
    model = cluster.model
    cluster.model = dataclasses.replace(
        model,
        students=tuple(
            dataclasses.replace(s, twin=f"{s.index:063x}f") if s.index in students else s
            for s in model.students
        ),
        twin_accuracy=model.accuracy / 2,
    )
    cluster.core = Core(cluster.model, cluster.settings)
    return cluster


def part(cluster: Cluster, link: int) -> int:
    (student,) = cluster.assigned[link]
    return cluster.model.students[student].part


def test_uneven_students_wait_until_all_have_joined_and_the_fast_get_the_large_ones() -> None:
    cluster = uneven(Cluster(parts=(0, 1, 2)))
    slow, fast, middle = (cluster.join(speed=speed) for speed in (1.0, 9.0, 4.0))
    assert [cluster.assigned[link] for link in (slow, fast, middle)] == [(), (), ()]
    cluster.wait(1.0)
    assert part(cluster, fast) == 0
    assert {part(cluster, link) for link in (slow, middle)} == {1, 2}


def test_who_has_a_student_on_its_disk_does_not_wait() -> None:
    cluster = uneven(Cluster(parts=(0, 1, 2)))
    digest = cluster.model.students[2].sha256
    assert cluster.assigned[cluster.join(cached_digests=frozenset({digest}))] == (2,)


def test_who_joins_later_does_not_wait_for_more() -> None:
    cluster = uneven(Cluster(parts=(0, 1, 2)))
    cluster.join(speed=1.0)
    cluster.wait(1.0)
    assert cluster.assigned[cluster.join(speed=1.0)]


def test_a_device_is_placed_by_what_it_measured_before_it_joined() -> None:
    cluster = Cluster()
    measured = {student.sha256: 0.1 for student in cluster.model.students}
    cluster.join(speed=100.0, measured=measured)
    fast = cluster.join(speed=1.0, measured=dict.fromkeys(measured, 0.01))
    cluster.wait(1.0)
    assert len(cluster.assigned[fast]) == 5


def test_an_answer_counts_the_accuracy_that_was_measured_with_twins() -> None:
    cluster = with_twins(Cluster(parts=(0, 1)), 0, 1)
    links = [cluster.join(), cluster.join()]
    for link in links:
        (student,) = cluster.assigned[link]
        cluster.do(events.Ready(link, cluster.model.bundle_id, student, True, int8=True, seconds=0.002))
    assert cluster.core.status(cluster.now).expected_accuracy == 0.5
    status = cluster.core.status(cluster.now).devices[0]
    assert (status.int8, status.seconds) == ({0}, {0: 0.002})
    request = cluster.predict(1)
    for link in links:
        cluster.answer(link)
    assert cluster.answered(request).expected_accuracy == 0.5


def test_of_a_mix_of_precisions_the_lower_accuracy_is_told() -> None:
    model = with_twins(Cluster(parts=(0, 1)), 0, 1).model
    assert model.expected_accuracy((0, 1)) == 1.0
    assert model.expected_accuracy((0, 1), {0}) == 0.5
    better = dataclasses.replace(model, twin_accuracy=np.minimum(model.accuracy * 2, 1))
    assert better.expected_accuracy((0,), {0}) > better.expected_accuracy((0,))
    assert better.expected_accuracy((0, 1), {0}) == better.expected_accuracy((0, 1))
    assert model.expected_accuracy((), {0}) == 0.0


def test_a_device_that_serves_the_student_again_in_fp32_counts_as_such() -> None:
    cluster = with_twins(Cluster(parts=(0,)), 0)
    link = cluster.join()
    for int8, expected in ((True, 0.5), (False, 1.0), (True, 0.5)):
        cluster.do(events.Ready(link, cluster.model.bundle_id, 0, True, int8=int8))
        assert cluster.core.status(cluster.now).expected_accuracy == expected
