"""From a request to its answer, on a virtual clock."""

from typing import Any

import numpy as np
import pytest

from aggregator import Settings, events
from aggregator.effects import Code, SendWork
from aggregator.status import State
from tests.aggregator.virtual import Cluster


def status(cluster: Cluster) -> Any:
    return cluster.core.status(cluster.now)


def test_an_answer_is_the_merge_of_all_students(cluster: Cluster) -> None:
    links = cluster.serve(3)
    request = cluster.predict(1, 2, 3)
    assert cluster.work().links == tuple(links)
    for link in links:
        assert cluster.outcome(request) is None
        cluster.answer(link)
    answer = cluster.answered(request)
    np.testing.assert_array_equal(answer.logits, cluster.merged((1, 2, 3), range(6)))
    assert (answer.answered, answer.missing) == ((0, 1, 2, 3, 4, 5), ())
    assert answer.expected_accuracy == 1.0


def test_a_device_lost_in_the_middle_costs_its_students_and_no_time(cluster: Cluster) -> None:
    first, *others = cluster.serve(6)
    request = cluster.predict(9)
    for link in others:
        cluster.answer(link)
    cluster.do(events.Gone(first, "killed"))
    answer = cluster.answered(request)
    assert answer.missing == (0,)
    np.testing.assert_array_equal(answer.logits, cluster.merged((9,), range(1, 6)))
    assert answer.expected_accuracy == pytest.approx(float(cluster.model.accuracy[0b111110]))
    assert (status(cluster).answered, status(cluster).degraded) == (1, 1)


def test_a_device_that_does_not_answer_costs_time_until_just_before_the_deadline(cluster: Cluster) -> None:
    _, *others = cluster.serve(6)
    request = cluster.predict(9, within=0.5)
    for link in others:
        cluster.answer(link)
    cluster.wait(0.44)
    assert cluster.outcome(request) is None
    cluster.wait(0.02)
    assert cluster.answered(request).missing == (0,)


def test_nobody_answered_in_time(cluster: Cluster) -> None:
    cluster.serve(2)
    request = cluster.predict(within=0.5)
    cluster.wait(0.5)
    assert cluster.refused(request).code is Code.DEADLINE_EXCEEDED


def test_no_device_means_unavailable_at_once(cluster: Cluster) -> None:
    assert cluster.refused(cluster.predict()).code is Code.UNAVAILABLE
    cluster.join()
    assert cluster.refused(cluster.predict()).code is Code.UNAVAILABLE


def test_all_devices_lost_means_unavailable_for_what_waits_too(cluster: Cluster) -> None:
    (link,) = cluster.serve(1)
    requests = [cluster.predict() for _ in range(4)]
    cluster.do(events.Gone(link, "killed"))
    assert {cluster.refused(request).code for request in requests} == {Code.UNAVAILABLE}
    assert cluster.core.idle


def test_a_request_without_a_deadline_gets_the_default(cluster: Cluster) -> None:
    cluster.serve(1)
    request = cluster.predict(within=None)
    cluster.wait(1.9)
    assert cluster.outcome(request) is None
    cluster.wait(0.1)
    assert cluster.refused(request).code is Code.DEADLINE_EXCEEDED


def test_a_deadline_that_has_passed_is_refused(cluster: Cluster) -> None:
    cluster.serve(1)
    assert cluster.refused(cluster.predict(within=0.0)).code is Code.DEADLINE_EXCEEDED


def test_a_request_with_little_time_does_not_shorten_that_of_its_batch(cluster: Cluster) -> None:
    a, b = cluster.serve(2)
    for _ in range(2):  # fill the windows, so that the next two wait together
        cluster.predict()
    hurried, patient = cluster.predict(3, within=0.3), cluster.predict(4, within=0.9)
    for work in list(cluster.works.values()):
        cluster.answer(a, work=work)
        cluster.answer(b, work=work)
    assert len(cluster.work().images) == 2
    cluster.answer(a)
    cluster.wait(0.3)
    assert cluster.answered(hurried).missing == cluster.assigned[b]
    cluster.answer(b)
    assert cluster.answered(patient).missing == ()
    np.testing.assert_array_equal(cluster.answered(patient).logits, cluster.merged((4,), range(6)))


def test_strict_refuses_a_degraded_answer(cluster: Cluster) -> None:
    a, b = cluster.serve(2)
    strict, lenient = cluster.predict(strict=True), cluster.predict()
    cluster.do(events.Gone(b, "killed"))
    for work in list(cluster.works.values()):
        cluster.answer(a, work=work)
    assert cluster.refused(strict).code is Code.FAILED_PRECONDITION
    assert "did not answer" in cluster.refused(strict).message
    assert cluster.answered(lenient).missing


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (np.zeros((1, 2, 2, 3), np.uint8), "found uint8 [1, 2, 2, 3]"),
        (np.zeros((1, 2, 2, 1), np.float32), "found float32"),
        (np.zeros((0, 2, 2, 1), np.uint8), "N at least 1"),
        (np.zeros((65, 2, 2, 1), np.uint8), "at most 64"),
    ],
)
def test_images_that_do_not_fit_are_refused_with_the_reason(cluster: Cluster, images: Any, says: str) -> None:
    cluster.serve(1)
    cluster.do(events.Predict(999, images))
    refusal = cluster.refused(999)
    assert refusal.code is Code.INVALID_ARGUMENT
    assert says in refusal.message
    assert "\n" not in refusal.message


def test_another_bundle_is_refused(cluster: Cluster) -> None:
    cluster.serve(1)
    assert cluster.refused(cluster.predict(bundle="other")).code is Code.FAILED_PRECONDITION
    assert cluster.outcome(cluster.predict(bundle=cluster.model.bundle_id)) is None


def test_what_waits_while_windows_are_full_forms_the_next_batch() -> None:
    cluster = Cluster(Settings(window=2, max_batch=4))
    (link,) = cluster.serve(1)
    requests = [cluster.predict(value) for value in range(8)]
    assert [len(work.images) for work in cluster.works.values()] == [1, 1]
    for work in (1, 2):
        cluster.answer(link, work=cluster.works[work])
    assert [len(work.images) for work in cluster.works.values()] == [1, 1, 4, 2]
    for work in (3, 4):
        cluster.answer(link, work=cluster.works[work])
    for value, request in enumerate(requests):
        expected = cluster.merged((value,), range(6))
        np.testing.assert_allclose(cluster.answered(request).logits, expected, rtol=1e-6)


def test_a_full_queue_refuses_with_a_hint() -> None:
    cluster = Cluster(Settings(window=1, queue=3))
    cluster.serve(1)
    requests = [cluster.predict() for _ in range(5)]
    refusal = cluster.refused(requests[-1])
    assert refusal.code is Code.RESOURCE_EXHAUSTED
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 1
    assert all(cluster.outcome(request) is None for request in requests[:-1])


def test_a_cancelled_request_leaves_no_trace(cluster: Cluster) -> None:
    (link,) = cluster.serve(1)
    requests = [cluster.predict() for _ in range(3)]
    for request in requests:
        cluster.do(events.Cancelled(request))
    assert cluster.core.idle
    for work in list(cluster.works.values()):
        cluster.answer(link, work=work)
    assert all(cluster.outcome(request) is None for request in requests)
    assert len(cluster.works) == 2


def test_a_straggler_is_skipped_once_it_takes_far_longer_than_usual(cluster: Cluster) -> None:
    slow, fast = cluster.serve(2)
    cluster.keep_busy([slow, fast])
    for _ in range(2):
        cluster.predict()
        cluster.answer(fast)
    waiting = cluster.predict()
    assert len(cluster.works) == 22, "while it may just be a little late, the next work waits for it"
    cluster.wait(0.3, answering=[slow, fast])
    assert cluster.work().links == (fast,)
    cluster.answer(fast)
    assert cluster.answered(waiting).missing == cluster.assigned[slow]
    quick = cluster.predict()
    assert cluster.work().links == (fast,), "and no one waits for it any more"
    cluster.answer(fast)
    assert cluster.answered(quick).missing == cluster.assigned[slow]


def test_nobody_waits_out_his_time_for_a_device_that_is_always_far_slower_than_the_others(
    cluster: Cluster,
) -> None:
    slow, fast = cluster.serve(2)
    for _ in range(10):
        cluster.predict(within=5.0)
        cluster.wait(0.01)
        cluster.answer(fast)
        cluster.wait(1.0, answering=[slow, fast])
        cluster.answer(slow)
    for _ in range(2):
        cluster.predict(within=5.0)
        cluster.answer(fast)
    cluster.wait(0.9, answering=[slow, fast])
    request = cluster.predict(within=1.0)
    strict = cluster.predict(within=5.0, strict=True)
    cluster.wait(0.4, answering=[slow, fast])
    assert cluster.work().links == (slow, fast), "for half of its time it waits for every device"
    cluster.wait(0.1, answering=[slow, fast])
    assert cluster.work().links == (fast,)
    cluster.answer(fast)
    assert cluster.answered(request).missing == cluster.assigned[slow]
    assert cluster.outcome(strict) is None, "and is not refused because another one was in a hurry"


def test_a_device_that_catches_up_is_used_again(cluster: Cluster) -> None:
    slow, fast = cluster.serve(2)
    works = []
    for _ in range(2):
        cluster.predict()
        cluster.answer(fast)
        works.append(cluster.work())
    for work in works:
        cluster.answer(slow, work=work)
    cluster.predict()
    assert cluster.work().links == (slow, fast)


def test_a_student_that_is_wrong_time_after_time_goes_to_another_device(cluster: Cluster) -> None:
    bad, *good = cluster.serve(6)
    (student,) = cluster.assigned[bad]
    for _ in range(3):
        assert all(student not in cluster.assigned[link] for link in good)
        request = cluster.predict(4)
        nan = np.full((1, 3), np.nan, np.float32)
        cluster.do(events.Partial(bad, cluster.model.bundle_id, cluster.work().work, student, nan))
        for link in good:
            cluster.answer(link)
        assert cluster.answered(request).missing == (student,)
    (heir,) = [link for link in good if student in cluster.assigned[link]]
    assert student not in cluster.assigned[bad]
    cluster.ready(heir, student)
    request = cluster.predict(5)
    for link in good:
        cluster.answer(link)
    if cluster.outcome(request) is None:  # the bad device was given another student meanwhile
        cluster.answer(bad)
    np.testing.assert_array_equal(cluster.answered(request).logits, cluster.merged((5,), range(6)))


def test_one_wrong_answer_among_good_ones_costs_nothing(cluster: Cluster) -> None:
    link, *others = cluster.serve(6)
    (student,) = cluster.assigned[link]
    for turn in range(10):
        cluster.predict(4)
        if turn % 2:
            cluster.do(events.Partial(link, cluster.model.bundle_id, cluster.work().work, student, None))
        else:
            cluster.answer(link)
        for other in others:
            cluster.answer(other)
    assert cluster.assigned[link] == (student,)


def test_a_suspect_device_is_not_waited_for(cluster: Cluster) -> None:
    quiet, lively = cluster.serve(2)
    cluster.do(events.Pong(quiet))
    cluster.wait(2.5, answering=[lively])
    request = cluster.predict(within=30)
    cluster.answer(lively)
    cluster.wait(1.5, answering=[lively])
    assert cluster.answered(request).missing == cluster.assigned[quiet]
    cluster.predict()
    assert cluster.work().links == (lively,)


def test_draining_refuses_the_new_and_finishes_the_old(cluster: Cluster) -> None:
    (link,) = cluster.serve(1)
    old, slow = cluster.predict(within=30), cluster.predict(within=30)
    cluster.do(events.Drain())
    assert cluster.refused(cluster.predict()).code is Code.UNAVAILABLE
    cluster.answer(link, work=cluster.works[1])
    assert cluster.answered(old).missing == ()
    assert not cluster.core.idle
    cluster.wait(cluster.settings.drain, answering=[link])
    assert cluster.refused(slow).code is Code.DEADLINE_EXCEEDED
    assert cluster.core.idle


def test_status_tells_the_truth(cluster: Cluster) -> None:
    assert status(cluster).expected_accuracy == 0.0
    a, b = cluster.serve(2)
    now = status(cluster)
    assert now.expected_accuracy == 1.0
    assert [device.state for device in now.devices] == [State.SERVING] * 2
    assert sorted(s for device in now.devices for s in device.serving) == list(range(6))
    assert now.students[0].devices == (f"d{a}",)
    cluster.do(events.Gone(b, "killed"))
    assert status(cluster).expected_accuracy < 1.0


def test_the_clock_may_go_back(cluster: Cluster) -> None:
    (link,) = cluster.serve(1)
    cluster.now -= 50
    request = cluster.predict(within=None)
    assert isinstance(cluster.log[-1], SendWork)
    cluster.answer(link)
    assert cluster.answered(request).missing == ()
