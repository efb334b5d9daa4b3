"""Whose turn it is: nobody waits for others because somebody wants a lot."""

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

from aggregator.turns import REMEMBERED_SECONDS, Shares, Turns


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test

    asyncio.run(bounded())


class Holder:
    """Takes a turn, and keeps it until told otherwise."""

    def __init__(self, turn: AbstractAsyncContextManager[None]) -> None:
        self.has = False
        self._release = asyncio.Event()
        self._task = asyncio.create_task(self._hold(turn))

    async def _hold(self, turn: AbstractAsyncContextManager[None]) -> None:
        async with turn:
            self.has = True
            try:
                await self._release.wait()
            finally:
                self.has = False

    async def end(self) -> None:
        self._release.set()
        await self._task

    async def cancel(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def holding(holders: list[Holder]) -> int:
    return sum(holder.has for holder in holders)


def test_one_key_takes_no_more_than_its_own_turns() -> None:
    async def test() -> None:
        all_turns = Turns(total=3, each=2)
        greedy = [Holder(all_turns.of("greedy")) for _ in range(10)]
        await settle()
        modest = Holder(all_turns.of("modest"))
        await settle()
        assert (holding(greedy), modest.has) == (2, True)
        for holder in greedy:
            await holder.end()
        await modest.end()
        assert not all_turns._own

    run(test())


def test_whoever_is_alone_has_all_that_it_wants() -> None:
    async def test() -> None:
        shares = Shares(2)
        holders = [Holder(shares.of("alone")) for _ in range(50)]
        await settle()
        assert holding(holders) == 50

    run(test())


def test_with_others_about_nobody_has_more_than_the_share() -> None:
    async def test() -> None:
        now = [100.0]
        shares = Shares(2, clock=lambda: now[0])
        first = [Holder(shares.of("greedy")) for _ in range(5)]
        await settle()
        modest = Holder(shares.of("modest"))
        later = [Holder(shares.of("greedy")) for _ in range(8)]
        await settle()
        assert (holding(first), modest.has, holding(later)) == (5, True, 0)
        await modest.end()
        for holder in first:
            await holder.end()
        await settle()
        assert holding(later) == 2  # the other was here a moment ago
        await later[3].cancel()  # while it waits
        await later[0].end()
        await settle()
        assert holding(later) == 2
        now[0] += REMEMBERED_SECONDS + 0.1
        await later[1].end()
        await settle()
        assert holding(later) == 5  # all that are left
        for holder in (later[2], *later[4:]):
            await holder.end()
        assert (shares._held, shares._waiting, shares._seen) == ({}, {}, {})

    run(test())


def test_a_turn_that_comes_too_late_goes_to_the_next() -> None:
    """Cancelled in the very moment in which its turn came."""

    async def test() -> None:
        shares = Shares(1)
        other = Holder(shares.of("other"))
        await settle()
        async with shares.of("me"):
            late, last = Holder(shares.of("me")), Holder(shares.of("me"))
            await settle()
            assert (late.has, last.has) == (False, False)
        await late.cancel()
        assert (late.has, last.has) == (False, True)
        await last.end()
        await other.end()
        assert (shares._held, shares._waiting) == ({}, {})

    run(test())


def test_who_waits_is_about_however_long_ago_it_came() -> None:
    async def test() -> None:
        now = 0.0
        shares = Shares(1, clock=lambda: now)
        greedy = [Holder(shares.of("greedy")) for _ in range(2)]
        await settle()
        other = [Holder(shares.of("other")) for _ in range(3)]
        await settle()
        now = 10 * REMEMBERED_SECONDS
        await greedy[0].end()
        await settle()
        assert holding(greedy[1:]) == 1
        await other[0].end()
        await settle()
        assert holding(other[1:]) == 1, "the other one still holds what it has"
        for holder in [greedy[1], *other[1:]]:
            await holder.cancel()
        assert not shares._held
        assert not shares._waiting

    run(test())
