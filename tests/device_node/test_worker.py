"""A worker by itself: students that only take time, and a pool that others use too."""

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from device_node.worker import Worker
from protos import nonn_pb2, tensors
from tests.device_node.graphs import BUNDLE, some_images


class Sleeper:
    """A student that takes so many seconds for an image; thought: that it is believed to take."""

    def __init__(self, seconds: float, thought: float) -> None:
        self.image_seconds = thought
        self._seconds = seconds

    def compute(self, images: NDArray[np.uint8], wanted: Callable[[], bool]) -> NDArray[np.float32]:
        assert wanted()
        time.sleep(self._seconds)
        return np.zeros((len(images), 3), np.float32)


class Sleepers:
    """Hosts so many students."""

    def __init__(self, count: int, seconds: float, thought: float | None = None) -> None:
        sleeper = Sleeper(seconds, seconds if thought is None else thought)
        self.serving = {BUNDLE: dict.fromkeys(range(count), sleeper)}


def work() -> nonn_pb2.Work:
    images = tensors.encode(some_images(1))
    return nonn_pb2.Work(bundle_id=BUNDLE, work_id=1, budget_seconds=9.0, images=images)


async def told(hosting: Any, executor: ThreadPoolExecutor, parallel: int) -> list[nonn_pb2.DeviceMessage]:
    """What becomes of one work."""
    said: list[nonn_pb2.DeviceMessage] = []

    async def send(message: nonn_pb2.DeviceMessage) -> None:
        said.append(message)

    worker = Worker(hosting, executor, parallel, send)
    worker.takes_partials = True
    running = asyncio.create_task(worker.run())
    async with asyncio.timeout(5.0):
        await worker.offer(work(), time.monotonic())
        await worker.finished()
    running.cancel()
    return said


def test_a_short_work_does_not_wait_for_what_a_lost_connection_left_behind() -> None:
    left_behind = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        try:
            for _ in range(2):
                executor.submit(left_behind.wait, 10.0)
            messages = asyncio.run(told(Sleepers(4, 0.001), executor, 2))
        finally:
            left_behind.set()
    assert sum(len(message.partials.partials) or message.HasField("partial") for message in messages) == 4


def test_what_takes_longer_than_was_thought_is_told_as_it_comes() -> None:
    """Else an answer that is there in time would wait for one that is not."""
    with ThreadPoolExecutor(1) as executor:
        messages = asyncio.run(told(Sleepers(3, 0.05, thought=0.0005), executor, 1))
    assert [message.partial.student for message in messages] == [0, 1, 2]
