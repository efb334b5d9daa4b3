import math

import pytest

from device_node.pulse import BEAT_SECONDS, BURST_SECONDS, STALL_SECONDS, Pulse


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_without_a_stall_messages_are_received_when_they_are_read() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for _ in range(20):
        clock.now += BEAT_SECONDS
        assert not pulse.beat()
        clock.now += 0.01
        assert pulse.received() == clock.now


def test_what_is_read_right_after_a_stall_was_sent_during_it() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += 1000.0
    pulse.beat()
    clock.now += BEAT_SECONDS
    pulse.beat()
    last_beat = clock.now
    clock.now += STALL_SECONDS
    assert pulse.received() == last_beat  # whether it is read before the next beat
    assert not pulse.beat()
    clock.now += BURST_SECONDS / 2
    assert pulse.received() == last_beat  # or after it
    clock.now += BURST_SECONDS
    assert pulse.received() == clock.now


def test_what_was_sent_after_a_stall_is_received_then() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += 0.5
    assert pulse.received(sent=7.0) == clock.now
    last_beat = clock.now
    clock.now += 3.0
    assert pulse.received(sent=7.1) == pytest.approx(last_beat + 0.1), "it waited"
    assert pulse.received(sent=6.9) == last_beat
    assert pulse.received() == last_beat, "for all that is known"
    clock.now += BURST_SECONDS / 2
    assert pulse.received(sent=10.04) == pytest.approx(clock.now - 0.01)
    assert pulse.received(sent=10.1) == clock.now, "faster than any before"


@pytest.mark.parametrize("sent", [math.nan, math.inf, -math.inf, -1e300])
def test_whatever_a_message_says_it_is_received_after_the_stall_began_and_before_it_is_read(
    sent: float,
) -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for before in (7.0, sent):
        clock.now += 0.5
        assert pulse.received(before) == clock.now
        began = clock.now
        clock.now += 3.0
        assert began <= pulse.received(sent) <= clock.now
        assert began <= pulse.received(7.0) <= clock.now


def test_a_beat_says_that_there_was_a_stall() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    clock.now += STALL_SECONDS
    assert pulse.beat()
    assert not pulse.beat()
