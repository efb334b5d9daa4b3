"""Merges that are to be expected, prepared in a thread of their own: the event loop waits for none of it."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bundle import Merger


class Preparing:
    """Belongs to one running event loop. Of what is asked for meanwhile, only the latest is still of use."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "merge")
        self._loop = asyncio.get_running_loop()
        self._next: tuple[Merger, Sequence[int]] | None = None
        self._busy = False
        self._closed = False

    def ask(self, merger: Merger, students: Sequence[int]) -> None:
        self._next = merger, students
        if not (self._busy or self._closed):
            self._begin()

    def close(self) -> None:
        """Does not wait for what is being prepared."""
        self._closed = True
        self._next = None
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _begin(self) -> None:
        if self._next is None:
            return
        (merger, students), self._next = self._next, None
        self._busy = True
        done = self._loop.run_in_executor(self._thread, merger.prepare, students)
        done.add_done_callback(self._go_on)

    def _go_on(self, done: "asyncio.Future[None]") -> None:
        self._busy = False
        if not (self._closed or done.cancelled()):
            done.result()
            self._begin()
