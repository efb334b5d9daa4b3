"""Callers know when they were held up themselves."""

import asyncio
import time

from fault_lab.run.pulse import BEAT, MEMORY, STALL, Pulse


def test_a_loop_that_was_blocked_was_held_up_until_a_while_later() -> None:
    async def watch() -> tuple[bool, bool, bool]:
        pulse = Pulse()
        beating = asyncio.create_task(pulse.run())
        await asyncio.sleep(0)
        time.sleep(2 * (BEAT + STALL))
        at_once = pulse.held_up()
        await asyncio.sleep(2 * BEAT)
        soon = pulse.held_up()
        deadline = time.monotonic() + 20
        while pulse.held_up() and time.monotonic() < deadline:  # a busy machine may hold it up again
            await asyncio.sleep(MEMORY / 4)
        beating.cancel()
        return at_once, soon, pulse.held_up()

    assert asyncio.run(watch()) == (True, True, False)
