"""An aggregator that was held up itself blames nobody for what it could not hear."""

from aggregator import Settings, events
from aggregator.status import State
from tests.aggregator.virtual import Cluster, make_model


def pause(cluster: Cluster, seconds: float) -> None:
    cluster.now += seconds
    cluster.do(events.Paused(seconds))


def test_answers_that_came_meanwhile_count() -> None:
    cluster = Cluster()
    links = cluster.serve(6)
    cluster.keep_busy(links)
    request = cluster.predict(within=60.0)
    cluster.answer(links[0])
    pause(cluster, 20.0)
    assert cluster.outcome(request) is None
    for link in links[1:]:
        cluster.answer(link)
    assert cluster.answered(request).missing == ()
    assert {cluster.state(link) for link in links} == {State.SERVING}


def test_whoever_says_nothing_afterwards_either_is_late_then() -> None:
    cluster = Cluster()
    links = cluster.serve(6)
    cluster.keep_busy(links)
    request = cluster.predict(within=60.0)
    for link in links[1:]:
        cluster.answer(link)
    pause(cluster, 20.0)
    assert cluster.outcome(request) is None
    cluster.wait(5.0, answering=links[1:])
    assert len(cluster.answered(request).missing) == 1
    assert cluster.state(links[0]) is State.SUSPECT


def test_callers_wait_no_longer_for_that() -> None:
    cluster = Cluster()
    links = cluster.serve(6)
    request = cluster.predict(within=1.0)
    cluster.answer(links[0])
    pause(cluster, 5.0)
    assert len(cluster.answered(request).answered) == 1
    assert {cluster.state(link) for link in links} == {State.SERVING}


def test_a_bundle_that_is_being_loaded_has_that_much_more_time() -> None:
    cluster = Cluster(Settings(reload=10.0))
    links = cluster.serve(6)
    new = make_model(name="n")
    cluster.do(events.Reload(new))
    pause(cluster, 30.0)
    for link in links:
        cluster.load(link, new.bundle_id)
    assert cluster.core.model.bundle_id == new.bundle_id


def test_one_pause_after_another_does_not_hide_a_device_that_is_dead() -> None:
    cluster = Cluster()
    links = cluster.serve(6)
    silent, *others = links
    for _ in range(12):
        pause(cluster, 0.5)
        for link in others:
            cluster.do(events.Pong(link))
        cluster.wait(0.02)
    assert cluster.state(silent) is State.SUSPECT
    assert {cluster.state(link) for link in others} == {State.SERVING}


def test_devices_that_joined_meanwhile_get_their_share() -> None:
    cluster = Cluster()
    first = cluster.join()
    pause(cluster, 5.0)
    links = [first, *(cluster.join() for _ in range(5))]
    cluster.wait(cluster.settings.settle, answering=links)
    assert [len(cluster.assigned[link]) for link in links] == [1] * 6
