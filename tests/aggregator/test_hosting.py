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
