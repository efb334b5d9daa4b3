"""When an answer waits for no more, on a virtual clock. Students 0 to 5 have parts 0 1 2 0 1 2."""

import pytest

from aggregator import Settings, SettingsError, events
from aggregator.policy import Policy
from tests.aggregator.virtual import Cluster


@pytest.mark.parametrize("text", ["all", "covered", "quorum=1", "quorum=12"])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    assert str(Policy.parse(text)) == text


@pytest.mark.parametrize(
    "text", ["", "none", "quorum", "quorum=", "quorum=0", "quorum=-1", "quorum=x", "all=2"]
)
def test_anything_else_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(SettingsError, match=r"all, covered or quorum=N|from 1 on"):
        Policy.parse(text)


def serve_one_each() -> tuple[Cluster, dict[int, int]]:
    """Six devices, and the device of each student."""
    cluster = Cluster()
    links = cluster.serve(6)
    return cluster, {cluster.assigned[link][0]: link for link in links}


@pytest.mark.parametrize(
    ("policy", "arriving", "enough"),
    [
        ("all", (0, 1, 2, 3, 4), False),
        ("all", (0, 1, 2, 3, 4, 5), True),
        ("covered", (0, 3, 1, 4), False),
        ("covered", (0, 4, 5), True),
        ("quorum=2", (3,), False),
        ("quorum=2", (3, 0), True),
        ("quorum=9", (0, 1, 2, 3, 4), False),
        ("quorum=9", (0, 1, 2, 3, 4, 5), True),
    ],
)
def test_an_answer_comes_when_its_policy_is_content(
    policy: str, arriving: tuple[int, ...], enough: bool
) -> None:
    cluster, host = serve_one_each()
    request = cluster.predict(policy=policy)
    for student in arriving[:-1]:
        cluster.answer(host[student])
    assert cluster.outcome(request) is None
    cluster.answer(host[arriving[-1]])
    if enough:
        assert cluster.answered(request).answered == tuple(sorted(arriving))
    else:
        assert cluster.outcome(request) is None


def test_strict_waits_for_all_whatever_the_policy() -> None:
    cluster, host = serve_one_each()
    request = cluster.predict(policy="covered", strict=True)
    for student in range(5):
        cluster.answer(host[student])
    assert cluster.outcome(request) is None
    cluster.answer(host[5])
    assert cluster.answered(request).missing == ()


def test_requests_of_one_work_are_answered_each_by_its_own_policy() -> None:
    cluster = Cluster(Settings(window=1))
    links = cluster.serve(6)
    cluster.predict()
    patient, hasty = cluster.predict(1), cluster.predict(2, policy="quorum=1")
    first = cluster.work()
    for link in links:
        cluster.answer(link, work=first)
    assert len(cluster.work().images) == 2
    cluster.answer(links[0])
    assert len(cluster.answered(hasty).answered) == 1
    assert cluster.outcome(patient) is None
    for link in links[1:]:
        cluster.answer(link)
    assert cluster.answered(patient).missing == ()


def test_a_part_that_was_never_asked_for_is_not_waited_for() -> None:
    cluster = Cluster(Settings(heal=None))
    links = cluster.serve(6)
    students = {link: cluster.assigned[link][0] for link in links}
    for link in links:
        if students[link] in (2, 5):
            cluster.do(events.Gone(link, "crashed"))
    request = cluster.predict(policy="covered")
    for link in links:
        if students[link] in (0, 1):
            cluster.answer(link)
    assert cluster.answered(request).answered == (0, 1)


def test_the_default_is_the_aggregators() -> None:
    cluster = Cluster(Settings(policy=Policy("quorum", 1)))
    links = cluster.serve(6)
    request = cluster.predict()
    cluster.answer(links[0])
    assert len(cluster.answered(request).answered) == 1
    assert cluster.outcome(cluster.predict(policy="all")) is None


def test_a_full_device_is_not_waited_for_by_requests_that_can_do_without() -> None:
    cluster = Cluster(Settings(policy=Policy("covered"), window=1))
    links = cluster.serve(6)
    slow, *quick = links
    for _ in range(3):
        request = cluster.predict()
        for link in quick:
            cluster.answer(link)
        assert cluster.assigned[slow][0] in cluster.answered(request).missing
    assert len(cluster.works) == 3


def test_requests_that_want_all_students_do_not_go_along_with_one_that_can_do_without() -> None:
    cluster = Cluster(Settings(window=1))
    links = cluster.serve(6)
    cluster.predict()
    hasty = cluster.predict(1, policy="quorum=1")
    strict, patient = cluster.predict(2, strict=True), cluster.predict(3)
    first = cluster.work()
    cluster.answer(links[0], work=first)
    assert cluster.work().links == (links[0],)
    cluster.answer(links[0])
    assert len(cluster.answered(hasty).answered) == 1
    for link in links[1:]:
        cluster.answer(link, work=first)
    assert cluster.work().links == tuple(links)
    for link in links:
        cluster.answer(link)
    assert cluster.answered(strict).missing == cluster.answered(patient).missing == ()
