"""Waiting for a message with an end to patience, against a stand-in for gRPC's context."""

import asyncio

import grpc
import pytest

from aggregator.receive import SECOND_LOOK, read_within
from tests.aggregator.test_link import Context


def test_a_message_that_is_there_or_comes_in_time() -> None:
    async def test() -> None:
        context = Context(b"first")
        assert await read_within(context, 10.0) == b"first"
        asyncio.get_running_loop().call_later(SECOND_LOOK / 2, context.end)
        assert await read_within(context, 0.0) is grpc.aio.EOF, "it came while this process was held up"

    asyncio.run(test())


def test_a_read_that_takes_too_long_is_given_up_and_not_cancelled() -> None:
    async def test() -> None:
        context = Context()
        with pytest.raises(TimeoutError):
            await read_within(context, 0.01)
        context.end()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others), 10)
        assert not context.cancelled

    asyncio.run(test())
