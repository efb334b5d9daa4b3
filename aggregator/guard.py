"""How much of the aggregator one peer may take. No I/O and no clock: times are seconds on any clock."""

import enum
import itertools
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

# Peers that are remembered at the most. One that has nothing under way and no debt is forgotten soon:
# for each new one, so many old ones are looked at.
MOST_REMEMBERED, LOOKED_AT = 4096, 2
# Requests of one peer that made no sense: at once, and a second for good.
NONSENSE, NONSENSE_RATE = 32.0, 1.0


class Call(enum.Enum):
    """What peers call; the value is what one calls several of them."""

    JOIN = "device streams"
    FETCH = "downloads"
    PREDICT = "requests"
    STATUS = "status calls"
    OPERATION = "operator's calls"


@dataclass(frozen=True, slots=True)
class Limit:
    """Of one peer. open: calls under way. burst: calls begun at once; rate: a second, for good."""

    open: int
    burst: float = math.inf
    rate: float = math.inf


class Bucket:
    """Holds `burst` tokens at the most and gains `rate` a second."""

    __slots__ = ("_burst", "_rate", "_since", "_tokens")

    def __init__(self, now: float, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._tokens, self._since = burst, now

    def add(self, now: float, tokens: float = 0.0) -> float:
        """What is there now, `tokens` more included."""
        gained = self._rate * max(now - self._since, 0.0)
        self._tokens = min(self._tokens + gained + tokens, self._burst)
        self._since = max(now, self._since)
        return self._tokens

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """So many tokens, if they are there."""
        if self.add(now) < tokens:
            return False
        self._tokens -= tokens
        return True

    def full(self, now: float) -> bool:
        return self.add(now) >= self._burst


@dataclass(slots=True)
class _Peer:
    open: Counter[Call] = field(default_factory=Counter)
    rates: dict[Call, Bucket] = field(default_factory=dict)
    nonsense: Bucket | None = None

    def idle(self, now: float) -> bool:
        buckets = [*self.rates.values(), *filter(None, [self.nonsense])]
        return not self.open.total() and all(bucket.full(now) for bucket in buckets)


class Guard:
    """Counts each peer's calls.

    >>> guard = Guard({Call.PREDICT: Limit(open=1)})
    >>> guard.enter(0.0, "kitchen", Call.PREDICT)
    >>> guard.enter(0.0, "kitchen", Call.PREDICT)
    '1 requests of this peer are under way already'
    >>> guard.leave("kitchen", Call.PREDICT)
    """

    def __init__(self, limits: Mapping[Call, Limit], most_remembered: int = MOST_REMEMBERED) -> None:
        self._limits = limits
        self._most = most_remembered
        self._peers: dict[Hashable, _Peer] = {}

    def enter(self, now: float, peer: Hashable, call: Call) -> str | None:
        """None: it may; `leave` must follow. Otherwise why not."""
        limit = self._limits[call]
        state = self._peers.get(peer)
        if state is None:
            self._forget(now)
            state = self._peers[peer] = _Peer()
        if state.open[call] >= limit.open:
            return f"{limit.open} {call.value} of this peer are under way already"
        if state.nonsense is not None and state.nonsense.add(now) < 1.0:
            return "too many requests of this peer have made no sense"
        if limit.burst < math.inf:
            bucket = state.rates.setdefault(call, Bucket(now, limit.burst, limit.rate))
            if not bucket.take(now):
                return f"too many {call.value} of this peer in a short time"
        state.open[call] += 1
        return None

    def leave(self, peer: Hashable, call: Call) -> None:
        state = self._peers[peer]
        state.open[call] -= 1
        if not (state.rates or state.nonsense or state.open.total()):
            del self._peers[peer]

    def blame(self, now: float, peer: Hashable) -> None:
        """For a call under way: what the peer asked for made no sense."""
        state = self._peers[peer]
        state.nonsense = state.nonsense or Bucket(now, NONSENSE, NONSENSE_RATE)
        state.nonsense.take(now)

    def _forget(self, now: float) -> None:
        """Make room. Whoever has calls under way stays, however many they are."""
        for peer in list(itertools.islice(self._peers, LOOKED_AT)):
            state = self._peers.pop(peer)
            if not state.idle(now):
                self._peers[peer] = state  # to be looked at again after all others
        if len(self._peers) < self._most:
            return
        closed = [peer for peer, state in self._peers.items() if not state.open.total()]
        idle = [peer for peer in closed if self._peers[peer].idle(now)]
        for peer in idle or closed:
            del self._peers[peer]
