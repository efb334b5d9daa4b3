"""Partial logits and refusals of devices: what is used, and what is counted and dropped."""

from typing import Any

import numpy as np
import pytest

from aggregator import events
from aggregator.effects import Code
from tests.aggregator.virtual import Cluster


def status(cluster: Cluster) -> Any:
    return cluster.core.status(cluster.now)


def test_a_refusal_is_not_waited_for(cluster: Cluster) -> None:
    a, b = cluster.serve(2)
    request = cluster.predict()
    work = cluster.work().work
    cluster.do(events.Refusal(a, work, cluster.assigned[a][0], "FAILED: out of memory"))
    cluster.answer(b)
    assert cluster.outcome(request) is None
    cluster.do(events.Refusal(a, work, None, "OVERLOADED: too much"))
    assert set(cluster.answered(request).missing) == set(cluster.assigned[a])
    assert status(cluster).devices[0].error == "OVERLOADED: too much"


def test_refused_by_everyone(cluster: Cluster) -> None:
    links = cluster.serve(2)
    request = cluster.predict()
    for link in links:
        cluster.do(events.Refusal(link, cluster.work().work, None, "FAILED: ?"))
    assert cluster.refused(request).code is Code.UNAVAILABLE


GOOD = np.zeros((1, 3), np.float32)


@pytest.mark.parametrize(
    ("bundle", "logits"),
    [
        ("another", GOOD),
        (None, None),
        (None, np.zeros((2, 3), np.float32)),
        (None, np.zeros((1, 4), np.float32)),
        (None, np.zeros((1, 3), np.float64)),
        (None, np.full((1, 3), np.nan, np.float32)),
        (None, np.full((1, 3), np.inf, np.float32)),
        (None, np.full((1, 3), 3e38, np.float32)),
    ],
    ids=["bundle", "no tensor", "rows", "classes", "dtype", "nan", "inf", "absurd"],
)
def test_wrong_partials_are_counted_and_not_merged(cluster: Cluster, bundle: str | None, logits: Any) -> None:
    bad, good = cluster.serve(2)
    request = cluster.predict(5)
    wrong = cluster.assigned[bad]
    for student in wrong:
        name = bundle or cluster.model.bundle_id
        cluster.do(events.Partial(bad, name, cluster.work().work, student, logits))
    cluster.answer(good)
    answer = cluster.answered(request)
    assert answer.missing == wrong
    np.testing.assert_array_equal(answer.logits, cluster.merged((5,), cluster.assigned[good]))
    assert status(cluster).dropped == len(wrong)
    assert status(cluster).devices[0].error


def test_late_repeated_unknown_and_unassigned_partials_are_counted_and_dropped(cluster: Cluster) -> None:
    a, b = cluster.serve(2)
    request = cluster.predict(within=0.5)
    name, work = cluster.model.bundle_id, cluster.work().work
    cluster.do(events.Partial(a, name, 12345, cluster.assigned[a][0], GOOD))
    cluster.do(events.Partial(a, name, work, cluster.assigned[b][0], GOOD))
    cluster.do(events.Partial(a, name, work, 2**32 - 1, GOOD))
    cluster.answer(a)
    cluster.answer(a)
    assert status(cluster).dropped == 3 + len(cluster.assigned[a])
    cluster.wait(0.5)
    assert cluster.answered(request).missing == cluster.assigned[b]
    cluster.answer(b)
    assert status(cluster).dropped == 3 + 6


def test_the_first_of_two_replicas_answers_and_the_second_is_no_fault() -> None:
    cluster = Cluster(parts=(0, 1))
    links = cluster.serve(4)
    assert sorted(cluster.assigned[link] for link in links) == [(0,), (0,), (1,), (1,)]
    request = cluster.predict(5)
    assert len(cluster.work().links) == 4
    for link in links[:2]:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()
    for link in links[2:]:
        cluster.answer(link)
    assert status(cluster).dropped == 0


def test_one_replica_lost_is_no_loss() -> None:
    cluster = Cluster(parts=(0, 1))
    links = cluster.serve(4)
    request = cluster.predict(5)
    cluster.do(events.Gone(links[0], "killed"))
    for link in links[1:]:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()
