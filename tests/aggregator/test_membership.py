"""Joining, hosting, falling silent, leaving and coming back, on a virtual clock."""

import pytest

from aggregator import Settings, events
from aggregator.effects import Assign, CloseLink, Ping, Welcome
from aggregator.status import State
from tests.aggregator.virtual import MB, Cluster


def states(cluster: Cluster) -> dict[str, State]:
    return {d.facts.device_id: d.state for d in cluster.core.status(cluster.now).devices}


def test_a_device_is_welcomed_and_given_a_student_at_once(cluster: Cluster) -> None:
    link = cluster.join()
    assert [e for e in cluster.log if isinstance(e, Welcome | Assign)] == [
        Welcome(link),
        Assign(link, 1, ((cluster.model.bundle_id, 0),)),
    ]


def test_the_first_device_waits_for_others_before_it_takes_all(cluster: Cluster) -> None:
    link = cluster.join()
    cluster.wait(0.99)
    assert cluster.assigned == {link: (0,)}
    cluster.wait(0.01)
    assert cluster.assigned == {link: (0, 1, 2, 3, 4, 5)}


def test_devices_that_keep_coming_and_going_cannot_put_off_the_first_placement(cluster: Cluster) -> None:
    first = cluster.join()
    for _ in range(25):
        cluster.wait(0.5, answering=[first])
        cluster.do(events.Gone(cluster.join("flapping"), "crashed"))
    assert len(cluster.assigned[first]) >= 5


def test_every_device_gets_one_of_as_many_students(cluster: Cluster) -> None:
    links = cluster.serve(6)
    assert sorted(cluster.assigned[link] for link in links) == [(s,) for s in range(6)]


def test_the_students_of_a_lost_device_wait_for_it_and_then_move(cluster: Cluster) -> None:
    first, second, *_ = cluster.serve(6)
    others = [link for link in cluster.assigned if link != first]
    cluster.do(events.Gone(first, "crashed"))
    cluster.wait(29.9, answering=others)
    assert cluster.assigned[second] == (1,)
    cluster.wait(0.1, answering=others)
    assert sum(0 in cluster.assigned[link] for link in others) == 1


def test_healing_can_be_switched_off() -> None:
    cluster = Cluster(Settings(heal=None))
    first, *others = cluster.serve(6)
    cluster.do(events.Gone(first, "crashed"))
    cluster.wait(10_000, answering=others)
    assert all(len(cluster.assigned[link]) == 1 for link in others)
    assert cluster.assigned[cluster.join()] == (0,)


def students_moved(cluster: Cluster, links: list[int], before: dict[int, tuple[int, ...]]) -> list[int]:
    return [s for link in links for s in cluster.assigned[link] if s not in before[link]]


def test_the_students_of_devices_that_fall_silent_together_wait_for_each(cluster: Cluster) -> None:
    first, second, *others = cluster.serve(6)
    before = dict(cluster.assigned)
    cluster.wait(4.0, answering=others)
    assert states(cluster)[f"d{first}"] is states(cluster)[f"d{second}"] is State.SUSPECT
    cluster.wait(29.0, answering=others)
    assert students_moved(cluster, others, before) == []
    cluster.wait(2.0, answering=others)
    assert sorted(students_moved(cluster, others, before)) == [0, 1]


def test_the_students_of_devices_that_stall_together_wait_for_each() -> None:
    cluster = Cluster(Settings(heal=None))
    first, second, *others = links = cluster.serve(6)
    before = dict(cluster.assigned)
    cluster.keep_busy(links)
    for _ in range(2):
        cluster.predict()
        for link in others:
            cluster.answer(link)
        cluster.wait(0.5, answering=links)
    assert states(cluster)[f"d{first}"] is states(cluster)[f"d{second}"] is State.STALLED
    cluster.wait(100.0, answering=links)
    assert students_moved(cluster, others, before) == []


def test_a_device_that_returns_replaces_its_old_self_and_gets_its_students(cluster: Cluster) -> None:
    links = [cluster.join(name) for name in ("a", "b")]
    cluster.wait(1.0)
    had = cluster.assigned[links[0]]
    again = cluster.join("a")
    assert cluster.assigned[again] == had
    assert [e.link for e in cluster.log if isinstance(e, CloseLink)] == [links[0]]
    assert [d.facts.device_id for d in cluster.core.status(cluster.now).devices] == ["b", "a"]


def test_a_late_device_takes_over_and_only_then_does_the_old_one_let_go(cluster: Cluster) -> None:
    (old,) = cluster.serve(1)
    new = cluster.join()
    moved, *others = cluster.assigned[new]
    assert {moved, *others} < set(cluster.assigned[old])
    cluster.ready(new, moved)
    assert set(cluster.assigned[old]) == set(range(6)) - {moved}
    cluster.ready(new, *others)
    assert len(cluster.assigned[old]) == len(cluster.assigned[new]) == 3


def test_a_device_lets_go_of_a_student_only_when_no_work_counts_on_it(cluster: Cluster) -> None:
    (old,) = cluster.serve(1)
    new = cluster.join()
    moved, *_ = cluster.assigned[new]
    request = cluster.predict()
    cluster.ready(new, moved)
    assert moved in cluster.assigned[old]
    cluster.answer(old)
    assert moved not in cluster.assigned[old]
    assert cluster.answered(request).missing == ()


def test_a_device_that_has_yet_to_let_go_takes_others_on_at_once() -> None:
    cluster = Cluster(Settings(heal=0.0))
    busy, lost = cluster.serve(2)
    new = cluster.join(memory_bytes=60 * MB)
    (moved,) = cluster.assigned[new]
    if moved not in cluster.assigned[busy]:
        busy, lost = lost, busy
    cluster.predict()
    cluster.ready(new)
    orphans = set(cluster.assigned[lost])
    cluster.do(events.Gone(lost, "crashed"))
    assert set(cluster.assigned[busy]) == set(range(6)), "it keeps what the work counts on, and has room"
    cluster.answer(busy, *sorted(set(range(6)) - orphans))
    assert set(cluster.assigned[busy]) == set(range(6)) - {moved}


def test_a_failed_self_test_is_shown_and_the_student_goes_elsewhere(cluster: Cluster) -> None:
    a, b = cluster.join("a"), cluster.join("b")
    cluster.do(events.Ready(a, cluster.model.bundle_id, 0, False, "logits differ by 0.3"))
    status = cluster.core.status(cluster.now)
    assert status.devices[0].error == "logits differ by 0.3"
    assert 0 not in cluster.assigned[a]
    cluster.wait(1.0)
    assert 0 in cluster.assigned[b]
    assert 0 not in cluster.assigned[a]


def test_a_device_that_failed_is_given_another_chance(cluster: Cluster) -> None:
    link = cluster.join()
    cluster.do(events.Ready(link, cluster.model.bundle_id, 0, False, "cannot fetch it"))
    cluster.wait(30, answering=[link])
    assert cluster.assigned[link] == (1, 2, 3, 4, 5)
    cluster.wait(40, answering=[link])
    assert cluster.assigned[link] == (0, 1, 2, 3, 4, 5)


def test_a_loaded_student_of_another_bundle_is_not_used(cluster: Cluster) -> None:
    link = cluster.join()
    cluster.do(events.Ready(link, "another", 0, True))
    assert states(cluster)[f"d{link}"] is State.LOADING


@pytest.mark.parametrize("sign", ["pong", "refusal", "malformed"])
def test_any_message_counts_as_life(cluster: Cluster, sign: str) -> None:
    (link,) = cluster.serve(1)
    for _ in range(10):
        cluster.wait(1.0)
        message = {
            "pong": events.Pong(link),
            "refusal": events.Refusal(link, 99, None, "FAILED"),
            "malformed": events.Malformed(link, "what?"),
        }[sign]
        cluster.do(message)
        assert states(cluster)[f"d{link}"] is State.SERVING


def test_a_silent_device_becomes_suspect_after_three_misses_and_is_still_probed(cluster: Cluster) -> None:
    quiet, lively = cluster.serve(2)
    cluster.wait(4.0, answering=[lively])
    assert states(cluster) == {f"d{quiet}": State.SUSPECT, f"d{lively}": State.SERVING}
    later = cluster.wait(5.0, answering=[lively])
    assert sum(isinstance(e, Ping) and e.link == quiet for e in later) == 5
    cluster.do(events.Pong(quiet))
    assert states(cluster)[f"d{quiet}"] is State.SERVING


def test_an_aggregator_that_was_asleep_blames_no_one(cluster: Cluster) -> None:
    (link,) = cluster.serve(1)
    cluster.do(events.Pong(link))
    cluster.now += 60
    cluster.do(events.Tick())
    assert states(cluster)[f"d{link}"] is State.SERVING


def test_a_suspect_devices_students_move_and_need_not_come_back(cluster: Cluster) -> None:
    quiet, lively = cluster.serve(2)
    cluster.wait(40, answering=[lively])
    assert cluster.assigned[lively] == (0, 1, 2, 3, 4, 5)
    cluster.ready(lively)
    cluster.do(events.Pong(quiet))
    served = cluster.assigned[quiet] + cluster.assigned[lively]
    assert sorted(served) == [0, 1, 2, 3, 4, 5]


def test_a_silent_device_whose_first_word_is_that_it_leaves_takes_nothing_back() -> None:
    cluster = Cluster(Settings(heal=0.0))
    silent, other = cluster.serve(2)
    cluster.wait(5.0, answering=[other])
    cluster.ready(other)
    cluster.do(events.Leaving(silent, "stopped"))
    request = cluster.predict()
    cluster.answer(other, *range(6))
    assert cluster.answered(request).missing == ()


def test_a_leaving_device_gets_no_more_work_but_may_finish_what_it_has(cluster: Cluster) -> None:
    a, b = cluster.serve(2)
    request = cluster.predict()
    cluster.do(events.Leaving(a, "stopped"))
    cluster.answer(b)
    assert cluster.outcome(request) is None
    cluster.answer(a)
    assert cluster.answered(request).missing == ()
    cluster.predict()
    assert cluster.work().links == (b,)
    assert states(cluster)[f"d{a}"] is State.LEAVING


def test_memory_limits_what_a_device_is_given(cluster: Cluster) -> None:
    link = cluster.join(memory_bytes=2 * cluster.model.students[0].memory_bytes)
    cluster.wait(2)
    assert len(cluster.assigned[link]) == 2


def test_messages_of_unknown_links_are_ignored(cluster: Cluster) -> None:
    assert cluster.do(events.Pong(77)) == []
    assert cluster.do(events.Gone(77, "?")) == []
