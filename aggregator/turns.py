"""Whose turn it is, when many want the same: nobody waits for others because somebody wants a lot."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Hashable

REMEMBERED_SECONDS = 1.0


class _Turn:
    """From entering to leaving, one is held. (A generator's context costs several times as much.)"""

    __slots__ = ("_key", "_of")

    def __init__(self, of: "Turns | Shares", key: Hashable) -> None:
        self._of = of
        self._key = key

    async def __aenter__(self) -> None:
        await self._of.take(self._key)

    async def __aexit__(self, *_: object) -> None:
        self._of.give_back(self._key)


class Turns:
    """At most `total` hold one at any time, and of one key `each`; others wait, in order within their key."""

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._own: dict[Hashable, tuple[asyncio.Semaphore, int]] = {}  # with how many use it

    def of(self, key: Hashable) -> _Turn:
        return _Turn(self, key)

    async def take(self, key: Hashable) -> None:
        own, users = self._own.get(key) or (asyncio.Semaphore(self._each), 0)
        self._own[key] = own, users + 1
        try:
            # The own one first: who waits for it holds nothing that others want.
            await own.acquire()
            try:
                await self._all.acquire()
            except BaseException:
                own.release()
                raise
        except BaseException:
            self._forget(key)
            raise

    def give_back(self, key: Hashable) -> None:
        self._all.release()
        self._own[key][0].release()
        self._forget(key)

    def _forget(self, key: Hashable) -> None:
        own, users = self._own.pop(key)
        if users > 1:
            self._own[key] = own, users - 1


class Shares:
    """Whoever is alone has all that it wants. While others are about, nobody has more than `share` at once.

    About: within the last second.
    """

    def __init__(self, share: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = share
        self._clock = clock
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._seen: dict[Hashable, float] = {}  # the latest last

    def of(self, key: Hashable) -> _Turn:
        return _Turn(self, key)

    async def take(self, key: Hashable) -> None:
        self._seen.pop(key, None)
        self._seen[key] = self._clock()
        self._forget()
        if self._has_room(key) and key not in self._waiting:
            self._held[key] = self._held.get(key, 0) + 1
        else:
            await self._wait(key)

    def _has_room(self, key: Hashable) -> bool:
        return self._held.get(key, 0) < self._share or self._alone(key)

    def _alone(self, key: Hashable) -> bool:
        self._forget()
        return all(len(known) == (key in known) for known in (self._seen, self._held, self._waiting))

    def _forget(self) -> None:
        long_ago = self._clock() - REMEMBERED_SECONDS
        while self._seen and self._seen[first := next(iter(self._seen))] < long_ago:
            del self._seen[first]

    async def _wait(self, key: Hashable) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it had its turn, and will not take it
                self.give_back(key)
            elif waiting := self._waiting.get(key):
                with contextlib.suppress(ValueError):
                    waiting.remove(turn)
                if not waiting:
                    del self._waiting[key]
            raise

    def give_back(self, key: Hashable) -> None:
        self._held[key] -= 1
        waiting = self._waiting.get(key, deque())
        while waiting and self._has_room(key):
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._held[key] += 1
        if not waiting:
            self._waiting.pop(key, None)
        if not self._held[key]:
            del self._held[key]
