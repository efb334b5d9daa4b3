"""A new bundle beside the old one: loaded, tested, taken over or given up; on a virtual clock."""

import numpy as np
import pytest

from aggregator import Settings, effects, events
from aggregator.effects import Reloaded, ReloadFailed
from aggregator.model import Model
from aggregator.status import State
from tests.aggregator.virtual import MB, Cluster, make_model

OLD = "b" * 64
NEW = make_model(parts=(0, 1, 0, 1, 0, 1), name="n")


def outcome(cluster: Cluster) -> Reloaded | ReloadFailed | None:
    return next((e for e in cluster.log if isinstance(e, Reloaded | ReloadFailed)), None)


def failure(cluster: Cluster) -> str:
    found = outcome(cluster)
    assert isinstance(found, ReloadFailed), found
    return found.reason


def bundles(cluster: Cluster, link: int) -> set[str]:
    return {bundle for bundle, _ in cluster.held[link]}


def begin(devices: int = 6, model: Model = NEW, **facts: int) -> tuple[Cluster, list[int]]:
    """Devices that serve, and have been told to load the new bundle too."""
    cluster = Cluster(Settings(heal=5.0))
    links = [cluster.join(**facts) for _ in range(devices)]
    cluster.wait(1.0)
    for link in links:
        cluster.ready(link)
    cluster.do(events.Reload(model))
    return cluster, links


def test_devices_load_the_new_bundle_beside_the_old_which_goes_on_serving() -> None:
    cluster, links = begin()
    assert all(bundles(cluster, link) == {OLD, NEW.bundle_id} for link in links)
    assert cluster.core.status(cluster.now).staged == NEW.bundle_id
    for link in links[:-1]:
        cluster.load(link, NEW.bundle_id)
    request = cluster.predict()
    assert cluster.work().bundle_id == OLD
    for link in links:
        cluster.answer(link)
    assert cluster.answered(request).bundle_id == OLD
    assert outcome(cluster) is None


def test_it_takes_over_when_all_have_loaded_it_and_the_old_one_is_dropped() -> None:
    cluster, links = begin()
    for link in links:
        cluster.load(link, NEW.bundle_id)
    assert outcome(cluster) == Reloaded(NEW.bundle_id, OLD, 6)
    assert all(bundles(cluster, link) == {NEW.bundle_id} for link in links)
    assert cluster.core.model is NEW
    request = cluster.predict()
    assert cluster.work().bundle_id == NEW.bundle_id
    for link, students in [(link, [s for _, s in cluster.held[link]]) for link in links]:
        cluster.answer(link, *students)
    assert cluster.answered(request).bundle_id == NEW.bundle_id
    assert cluster.answered(request).missing == ()


def test_works_that_are_out_finish_with_the_old_students() -> None:
    cluster, links = begin()
    slow, *others = links
    request = cluster.predict(9)
    work = cluster.work()
    students = dict(cluster.assigned)
    for link in links:
        cluster.load(link, NEW.bundle_id)
    assert isinstance(outcome(cluster), Reloaded)
    assert bundles(cluster, slow) == {OLD, NEW.bundle_id}, "its work is still in flight"
    for link in (*others, slow):
        cluster.answer(link, *students[link], work=work)
    answer = cluster.answered(request)
    assert (answer.bundle_id, answer.missing) == (OLD, ())
    np.testing.assert_allclose(answer.logits, cluster.merged((9,), range(6)), rtol=1e-5)
    assert all(bundles(cluster, link) == {NEW.bundle_id} for link in links)


def test_what_a_device_says_of_the_other_bundle_is_not_merged() -> None:
    cluster, links = begin()
    request = cluster.predict()
    for link in links:
        cluster.load(link, NEW.bundle_id)
    (student,) = [s for b, s in cluster.held[links[0]] if b == OLD]
    logits = np.ones((1, 3), np.float32)
    for link in links[1:]:
        cluster.answer(link, *(s for b, s in cluster.held[link] if b == OLD))
    cluster.do(events.Partial(links[0], NEW.bundle_id, cluster.work().work, student, logits))
    assert cluster.answered(request).missing == (student,)


def test_it_is_given_up_when_fewer_devices_pass() -> None:
    cluster, links = begin()
    for link in links[1:]:
        cluster.load(link, NEW.bundle_id)
    cluster.load(links[0], NEW.bundle_id, error="logits are off by 3")
    while outcome(cluster) is None:
        cluster.wait(1.0, answering=links)
    assert "5 devices can serve it, and 6 serve now" in failure(cluster)
    assert "d1: logits are off by 3" in failure(cluster)
    assert all(bundles(cluster, link) == {OLD} for link in links)
    request = cluster.predict()
    for link in links:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()


def test_it_is_given_up_when_the_devices_take_too_long() -> None:
    cluster, links = begin()
    for link in links[1:]:
        cluster.load(link, NEW.bundle_id)
    cluster.wait(cluster.settings.reload - 1, answering=links)
    assert outcome(cluster) is None
    cluster.wait(1.1, answering=links)
    assert "not loaded in time" in failure(cluster)
    assert all(bundles(cluster, link) == {OLD} for link in links)


def test_it_is_given_up_where_the_memory_does_not_hold_both() -> None:
    cluster, links = begin(memory_bytes=60 * MB)
    assert all(bundles(cluster, link) == {OLD} for link in links)
    assert "no memory left" in failure(cluster)


def test_a_device_that_is_lost_meanwhile_does_not_hold_it_up() -> None:
    cluster, links = begin(devices=3)
    for link in links[1:]:
        cluster.load(link, NEW.bundle_id)
    cluster.do(events.Gone(links[0], "crashed"))
    cluster.wait(10.0, answering=links[1:])
    for link in links[1:]:
        cluster.ready(link)
        cluster.load(link, NEW.bundle_id)
    assert outcome(cluster) == Reloaded(NEW.bundle_id, OLD, 2)


def test_nobody_loads_students_of_the_old_bundle_once_it_is_replaced() -> None:
    cluster = Cluster(Settings(heal=0.0))
    busy, lost = cluster.serve(2)
    cluster.do(events.Reload(NEW))
    cluster.load(busy, NEW.bundle_id)
    cluster.predict()
    mine = set(cluster.assigned[busy])
    cluster.do(events.Gone(lost, "crashed"))
    assert set(cluster.assigned[busy]) == set(range(6)), "it is to take the lost device's students over"
    cluster.load(busy, NEW.bundle_id)
    assert isinstance(outcome(cluster), Reloaded)
    assert set(cluster.assigned[busy]) == mine, "those that the work counts on"


def test_a_device_that_joins_meanwhile_loads_both() -> None:
    cluster, links = begin()
    late = cluster.join()
    assert bundles(cluster, late) == {OLD, NEW.bundle_id}
    for link in links:
        cluster.load(link, NEW.bundle_id)
    assert outcome(cluster) is None
    cluster.load(late, NEW.bundle_id)
    assert outcome(cluster) == Reloaded(NEW.bundle_id, OLD, 7)


def test_without_devices_it_takes_over_at_once() -> None:
    cluster = Cluster()
    cluster.do(events.Reload(NEW))
    assert outcome(cluster) == Reloaded(NEW.bundle_id, OLD, 0)
    link = cluster.join()
    assert bundles(cluster, link) == {NEW.bundle_id}


@pytest.mark.parametrize(
    ("model", "problem"), [(NEW, "another bundle is being loaded"), (make_model(), "served already")]
)
def test_a_second_reload_is_refused(model: Model, problem: str) -> None:
    cluster, _ = begin(devices=0 if "served" in problem else 6, model=NEW)
    if "served" in problem:
        cluster = Cluster()
        cluster.serve(2)
    cluster.log.clear()
    cluster.do(events.Reload(model))
    assert problem in failure(cluster)


def test_while_all_devices_are_silent_nothing_takes_over() -> None:
    cluster = Cluster()
    links = cluster.serve(2)
    cluster.wait(5.0)
    assert {cluster.state(link) for link in links} == {State.SUSPECT}
    cluster.do(events.Reload(NEW))
    assert outcome(cluster) is None
    for link in links:
        cluster.do(events.Pong(link))
    assert all(bundles(cluster, link) == {OLD, NEW.bundle_id} for link in links)


def test_silent_devices_have_tried_nothing() -> None:
    cluster = Cluster()
    cluster.serve(2)
    cluster.wait(5.0)
    cluster.do(events.Reload(NEW))
    cluster.wait(61.0)
    assert "0 devices can serve it" in failure(cluster)


def test_a_bundle_whose_works_are_still_out_cannot_be_loaded_again_yet() -> None:
    cluster, links = begin()
    cluster.predict()
    for link in links:
        cluster.load(link, NEW.bundle_id)
    cluster.log.clear()
    cluster.do(events.Reload(cluster.model))
    assert "still out" in failure(cluster)


def test_requests_that_wait_and_do_not_fit_the_new_bundle_are_refused() -> None:
    cluster, links = begin()
    for _ in range(2):
        cluster.predict()
    picky = cluster.predict(bundle=OLD)
    easy = cluster.predict()
    for link in links:
        cluster.load(link, NEW.bundle_id)
    assert cluster.refused(picky).code is effects.Code.FAILED_PRECONDITION
    assert cluster.outcome(easy) is None


def test_the_way_back_is_a_reload_too() -> None:
    cluster, links = begin()
    for link in links:
        cluster.load(link, NEW.bundle_id)
    cluster.log.clear()
    cluster.do(events.Reload(cluster.model))
    for link in links:
        cluster.load(link, OLD)
    assert outcome(cluster) == Reloaded(OLD, NEW.bundle_id, 6)
    assert all(bundles(cluster, link) == {OLD} for link in links)


def test_a_degraded_cluster_does_not_change_to_a_worse_bundle() -> None:
    cluster, links = begin()
    lost, *others = links
    cluster.do(events.Gone(lost, "crashed"))
    for link in others[:3]:
        cluster.load(link, NEW.bundle_id)
    for link in others[3:]:
        cluster.load(link, NEW.bundle_id, error="logits are off by 3")
    while outcome(cluster) is None:
        cluster.wait(1.0, answering=others)
    assert "nobody can serve students" in failure(cluster)


def test_a_student_that_fails_at_once_on_one_device_is_tried_on_another() -> None:
    cluster, links = begin(devices=3)
    (picky, *others) = links
    cluster.wait(0.1, answering=links)
    (failed, *_) = [student for bundle, student in cluster.held[picky] if bundle == NEW.bundle_id]
    cluster.do(events.Ready(picky, NEW.bundle_id, failed, False, "no memory"))
    assert outcome(cluster) is None
    for link in (picky, *others, picky, *others):
        cluster.load(link, NEW.bundle_id)
    assert isinstance(outcome(cluster), Reloaded)


def test_what_a_device_had_loaded_before_it_was_told_to_drop_it_does_not_count() -> None:
    cluster, links = begin(devices=2)
    slow, other = links
    cluster.wait(cluster.settings.reload + 1.0, answering=links)
    assert "not loaded in time" in failure(cluster)
    cluster.do(events.Reload(NEW))
    assert bundles(cluster, slow) == {OLD, NEW.bundle_id}
    students = [student for bundle, student in cluster.held[slow] if bundle == NEW.bundle_id]
    latest = cluster.numbers[slow]
    for student in students:  # said before it read that it was to drop them
        cluster.do(events.Ready(slow, NEW.bundle_id, student, True, assignment=latest - 2))
    cluster.load(other, NEW.bundle_id)
    assert cluster.core.model.bundle_id == OLD
    for student in students:
        cluster.do(events.Ready(slow, NEW.bundle_id, student, True, assignment=latest))
    assert cluster.core.model.bundle_id == NEW.bundle_id


def test_a_bundle_that_no_device_held_can_be_loaded_again() -> None:
    cluster = Cluster()
    cluster.do(events.Reload(NEW))
    cluster.wait(1.0)
    assert isinstance(outcome(cluster), Reloaded)
    assert cluster.core.bundle_ids == {NEW.bundle_id}
    cluster.log.clear()
    cluster.do(events.Reload(cluster.model))
    cluster.wait(1.0)
    assert outcome(cluster) == Reloaded(OLD, NEW.bundle_id, 0)
