"""Devices that are late, answer nothing but pings, or refuse: nobody waits for them; on a virtual clock."""

import pytest

from aggregator import Settings, effects, events
from aggregator.devices import LEAST_PATIENCE
from aggregator.status import State
from tests.aggregator.virtual import MB, Cluster, make_model

PROBE = 3.0


@pytest.fixture
def busy() -> tuple[Cluster, list[int]]:
    """Six devices that have taken 10 ms so far."""
    cluster = Cluster(Settings(heal=10.0))
    links = cluster.serve(6)
    cluster.keep_busy(links)
    return cluster, links


def ask(cluster: Cluster, answering: list[int], *, strict: bool = False) -> tuple[int, float]:
    """A request that these devices answer at once: it, and how long it took."""
    request, start = cluster.predict(within=5.0, strict=strict), cluster.now
    for link in answering:
        cluster.answer(link)
    while cluster.outcome(request) is None:
        cluster.wait(0.01, answering=list(cluster.assigned))
    return request, cluster.now - start


def stall(cluster: Cluster, links: list[int]) -> int:
    mute, *lively = links
    for _ in range(2):
        ask(cluster, lively)
    return mute


def test_a_late_student_is_missing_long_before_the_deadline(busy: tuple[Cluster, list[int]]) -> None:
    cluster, (mute, *lively) = busy
    request, seconds = ask(cluster, lively)
    assert cluster.answered(request).missing == cluster.assigned[mute]
    assert seconds == pytest.approx(LEAST_PATIENCE, abs=0.02)


def test_a_strict_request_waits_for_it(busy: tuple[Cluster, list[int]]) -> None:
    cluster, (slow, *lively) = busy
    request = cluster.predict(within=5.0, strict=True)
    for link in lively:
        cluster.answer(link)
    cluster.wait(2.0, answering=[slow, *lively])
    assert cluster.outcome(request) is None
    cluster.answer(slow)
    assert cluster.answered(request).missing == ()


def test_while_nobody_has_answered_nobody_is_late(busy: tuple[Cluster, list[int]]) -> None:
    cluster, links = busy
    request = cluster.predict(within=5.0)
    cluster.wait(2.0, answering=links)
    for link in links:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()
    assert all(cluster.state(link) is State.SERVING for link in links)


def test_a_device_that_answers_only_pings_is_waited_for_twice(busy: tuple[Cluster, list[int]]) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    assert cluster.state(mute) is State.STALLED
    request, seconds = ask(cluster, links[1:])
    assert seconds == 0
    assert mute not in cluster.work().links
    assert len(cluster.answered(request).missing) == 1


def test_a_stalled_device_is_tried_again_and_nobody_waits_for_the_trial(
    busy: tuple[Cluster, list[int]],
) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    cluster.wait(PROBE, answering=links)
    assert mute not in ask_and_name(cluster, links[1:]), "it still has all that its window holds"
    cluster.wait(5.0, answering=links)
    _, seconds = ask(cluster, links[1:])
    assert mute in cluster.work().links
    assert seconds == 0
    assert mute not in ask_and_name(cluster, links[1:]), "one trial at a time"
    cluster.wait(PROBE, answering=links)
    ask(cluster, links)
    assert cluster.state(mute) is State.SERVING
    request, _ = ask(cluster, links)
    assert cluster.answered(request).missing == ()


def test_what_it_left_unanswered_before_it_recovered_is_forgiven(busy: tuple[Cluster, list[int]]) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    cluster.wait(9.0, answering=links)
    assert mute in ask_and_name(cluster, links[1:]), "a trial that it does not answer"
    cluster.wait(PROBE, answering=links)
    ask(cluster, links)
    assert cluster.state(mute) is State.SERVING
    cluster.wait(10.0, answering=links)
    assert cluster.state(mute) is State.SERVING


def test_what_it_leaves_unanswered_once_it_has_recovered_is_not(busy: tuple[Cluster, list[int]]) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    cluster.wait(9.0, answering=links)
    ask(cluster, links)
    assert cluster.state(mute) is State.SERVING
    stall(cluster, links)
    assert cluster.state(mute) is State.STALLED


def test_a_device_that_is_heard_again_is_forgiven_what_was_lost_on_the_way() -> None:
    cluster = Cluster(Settings(ping=0.5))
    silent, *lively = cluster.serve(6)
    cluster.predict(within=5.0)
    for link in lively:
        cluster.answer(link)
    cluster.wait(2.5, answering=lively)
    assert cluster.state(silent) is State.SUSPECT
    cluster.do(events.Pong(silent))
    cluster.wait(10.0, answering=[silent, *lively])
    assert cluster.state(silent) is State.SERVING


def test_a_device_that_is_back_is_given_time_for_what_it_finds() -> None:
    cluster = Cluster(Settings(window=1))
    silent, *lively = links = cluster.serve(6)
    stale = cluster.predict(within=2.0)
    for link in lively:
        cluster.answer(link)
    cluster.wait(4.0, answering=lively)
    assert cluster.state(silent) is State.SUSPECT
    assert cluster.answered(stale).missing
    cluster.do(events.Pong(silent))
    request = cluster.predict(within=2.0)
    cluster.do(events.Refusal(silent, 1, None, "BUDGET_PASSED: its time was over", fault=False))
    for link in links:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()


def ask_and_name(cluster: Cluster, answering: list[int]) -> tuple[int, ...]:
    ask(cluster, answering)
    return cluster.work().links


def test_the_students_of_a_stalled_device_move_after_the_grace_period(
    busy: tuple[Cluster, list[int]],
) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    (student,) = cluster.assigned[mute]
    cluster.wait(9.0, answering=links)
    assert not any(student in cluster.assigned[link] for link in links[1:])
    cluster.wait(2.0, answering=links)
    assert sum(student in cluster.assigned[link] for link in links[1:]) == 1


def test_that_period_does_not_start_anew_when_the_device_falls_silent_too(
    busy: tuple[Cluster, list[int]],
) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    (student,) = cluster.assigned[mute]
    cluster.wait(11.0, answering=links[1:])
    assert cluster.state(mute) is State.SUSPECT
    assert any(student in cluster.assigned[link] for link in links[1:])


def test_a_silent_device_is_not_called_stalled_when_its_works_expire(
    busy: tuple[Cluster, list[int]],
) -> None:
    cluster, (silent, *lively) = busy
    cluster.predict(within=3.0)
    for link in lively:
        cluster.answer(link)
    cluster.wait(8.0, answering=lively)
    notes = [effect.text for effect in cluster.log if isinstance(effect, effects.Note)]
    assert cluster.state(silent) is State.SUSPECT
    assert not any("stalled" in text for text in notes)


def test_a_stalled_device_that_a_new_bundle_passes_over_begins_anew(
    busy: tuple[Cluster, list[int]],
) -> None:
    cluster, links = busy
    mute = stall(cluster, links)
    new = make_model(parts=(0, 1, 2), name="n")
    cluster.do(events.Reload(new))
    for link in links[1:]:
        cluster.load(link, new.bundle_id)
    assert cluster.core.model is new
    assert cluster.state(mute) is State.LOADING
    cluster.load(mute, new.bundle_id)
    assert cluster.state(mute) is State.SERVING


def test_works_of_an_old_bundle_stall_no_device_that_has_nothing_else() -> None:
    cluster = Cluster(Settings(heal=10.0))
    links = [cluster.join(memory_bytes=60 * MB), *(cluster.join() for _ in range(5))]
    cluster.wait(1.0)
    for link in links:
        cluster.ready(link)
    cluster.keep_busy(links)
    mute = stall(cluster, links)
    new = make_model(parts=(0, 1, 2), name="n")
    cluster.do(events.Reload(new))
    for link in links[1:]:
        cluster.load(link, new.bundle_id)
    assert {bundle for bundle, _ in cluster.held[mute]} == {cluster.model.bundle_id}, (
        "no room for the new one"
    )
    cluster.wait(12.0, answering=links)
    assert {bundle for bundle, _ in cluster.held[mute]} == {new.bundle_id}
    cluster.load(mute, new.bundle_id)
    assert cluster.state(mute) is State.SERVING


def test_a_student_that_fails_on_a_stalled_device_does_not_wait_for_it() -> None:
    cluster = Cluster(Settings(heal=None))
    links = cluster.serve(6)
    cluster.keep_busy(links)
    mute = stall(cluster, links)
    (student,) = cluster.assigned[mute]
    cluster.do(events.Ready(mute, cluster.model.bundle_id, student, False, "damaged"))
    assert any(student in cluster.assigned[link] for link in links[1:])


def test_a_device_that_was_silent_is_not_held_to_be_stalled(busy: tuple[Cluster, list[int]]) -> None:
    cluster, links = busy
    silent = stall(cluster, links)
    cluster.wait(5.0, answering=links[1:])
    assert cluster.state(silent) is State.SUSPECT
    cluster.do(events.Pong(silent))
    assert cluster.state(silent) is State.SERVING


def test_where_all_devices_are_stalled_they_are_asked_all_the_same() -> None:
    cluster = Cluster()
    only = cluster.serve(1)
    cluster.predict(within=0.5)
    cluster.wait(10.0, answering=only)
    assert cluster.state(only[0]) is State.STALLED, "it has let a work expire"
    request = cluster.predict()
    cluster.answer(only[0])
    assert cluster.answered(request).missing == ()
    assert cluster.state(only[0]) is State.SERVING


def test_a_device_that_has_become_slow_is_used_as_it_is(busy: tuple[Cluster, list[int]]) -> None:
    cluster, (slow, *quick) = busy
    for _ in range(3):
        request = cluster.predict(within=5.0)
        for link in quick:
            cluster.answer(link)
        cluster.wait(1.0, answering=[slow, *quick])
        if slow in cluster.work().links:
            cluster.answer(slow)
        assert cluster.outcome(request)
    cluster.wait(PROBE, answering=[slow, *quick])
    cluster.predict()
    cluster.wait(1.0, answering=[slow, *quick])
    cluster.answer(slow)
    request = cluster.predict(within=5.0)
    for link in quick:
        cluster.answer(link)
    cluster.wait(1.0, answering=[slow, *quick])
    cluster.answer(slow)
    assert cluster.answered(request).missing == ()


@pytest.mark.parametrize("fault", [True, False])
def test_a_student_that_is_refused_time_after_time_goes_to_another_device(
    busy: tuple[Cluster, list[int]], fault: bool
) -> None:
    cluster, (bad, *good) = busy
    (student,) = cluster.assigned[bad]
    for _ in range(3):
        cluster.predict()
        for link in good:
            cluster.answer(link)
        cluster.do(events.Refusal(bad, cluster.work().work, None, "FAILED: out of memory", fault))
    assert (student in cluster.assigned[bad]) is not fault
    cluster.wait(12.0, answering=[bad, *good])
    assert any(student in cluster.assigned[link] for link in good) is fault
