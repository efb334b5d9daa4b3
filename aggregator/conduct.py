"""Which devices send what nobody asked for, and how long they stay outside then. No I/O and no clock."""

from collections.abc import Hashable
from dataclasses import dataclass

from aggregator.guard import Bucket

# Messages beyond those that were asked for: at once, and a second for good.
UNASKED, UNASKED_RATE = 64.0, 10.0
# Messages that are none of the protocol.
MALFORMED, MALFORMED_RATE = 16.0, 0.1
# Joins of one device: at once, and a second for good.
JOINS, JOIN_RATE = 10.0, 0.5
# Seconds outside: the first time, and at the most. Forgotten after that time without another.
FIRST_BAN, LONGEST_BAN = 10.0, 300.0
MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Expectation:
    """Of a device that does as it should.

    At the most: window: works in flight to it; answers: to one message of ours, in as many messages or fewer;
    bytes: of one message.
    """

    window: int
    answers: int
    bytes: int

    def __or__(self, other: "Expectation") -> "Expectation":
        """Of a device that does as either says."""
        return Expectation(
            max(self.window, other.window), max(self.answers, other.answers), max(self.bytes, other.bytes)
        )


class Conversation:
    """One device's stream, message by message."""

    def __init__(self, now: float, expected: Expectation) -> None:
        # Whoever was silent for a while may answer a full window, and pings besides, all at once.
        self._credit = Bucket(now, UNASKED + (expected.window + 2) * expected.answers, UNASKED_RATE)
        self._malformed = Bucket(now, MALFORMED, MALFORMED_RATE)
        self._sent = 0

    def heard(self, now: float, size: int, sent: int, expected: Expectation) -> str | None:
        """sent: messages that were sent to it so far. Returns why it is to be shut out, if so."""
        if size > expected.bytes:
            return f"a message of {size} bytes, where {expected.bytes} would do"
        self._credit.add(now, (sent - self._sent) * expected.answers)
        self._sent = sent
        return None if self._credit.take(now) else "more messages than anyone asked it for"

    def held(self, now: float, answers: int) -> str | None:
        """The message that was heard last held so many: all but one have yet to be counted."""
        return None if self._credit.take(now, answers - 1) else "more answers than anyone asked it for"

    def malformed(self, now: float) -> str | None:
        """After a message that was none of the protocol."""
        return None if self._malformed.take(now) else "one message after another that is none of the protocol"


class Reputation:
    """Of devices by id: how often they join, and who is shut out until when."""

    def __init__(self) -> None:
        self._joins: dict[Hashable, Bucket] = {}
        self._bans: dict[Hashable, tuple[float, float]] = {}  # seconds of the latest one, and its end

    def may_join(self, now: float, device: Hashable) -> str | None:
        """None, or why not, with the seconds for which it makes no sense to try again."""
        _, end = self._bans.get(device, (0.0, now))
        if end > now:
            return "it is shut out for a while, after what it sent"
        if device not in self._joins:
            self._forget(now)
            self._joins[device] = Bucket(now, JOINS, JOIN_RATE)
        if self._joins[device].take(now):
            return None
        return "it joins again and again: is its identity in use on two machines?"

    def shut_out(self, now: float, device: Hashable) -> float:
        """Returns for how many seconds; each time twice as many."""
        seconds, end = self._bans.get(device, (0.0, now))
        recent = now < end + LONGEST_BAN
        length = min(2 * seconds, LONGEST_BAN) if seconds and recent else FIRST_BAN
        self._bans[device] = length, now + length
        return length

    def _forget(self, now: float) -> None:
        if len(self._joins) >= MOST_REMEMBERED:
            self._joins = {device: b for device, b in self._joins.items() if not b.full(now)}
        if len(self._joins) >= MOST_REMEMBERED:
            self._joins.clear()
        if len(self._bans) >= MOST_REMEMBERED:
            self._bans = {d: ban for d, ban in self._bans.items() if now < ban[1] + LONGEST_BAN}
