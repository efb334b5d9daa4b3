"""Streams labelled images through a cluster, without a pause, while its devices are taken away."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from itertools import cycle
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from nonn.client import Answer, AsyncClient
from nonn.errors import NonnError, RequestRefused

DEADLINE: Final = 2.0  # seconds, of each request
IN_FLIGHT: Final = 8
STAGE_SECONDS: Final = 30.0  # a stage in which some image is still not measured by then tells what it has
PAUSE_AFTER_FAILURE: Final = 0.05


@dataclass(slots=True)
class Tally:
    """How requests ended: each in exactly one way. lost: neither answered nor refused."""

    answered: int = 0
    refused: int = 0
    lost: int = 0

    @property
    def requests(self) -> int:
        return self.answered + self.refused + self.lost

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.answered + other.answered, self.refused + other.refused, self.lost + other.lost)


@dataclass(slots=True)
class Stage:
    """What happens from one loss to the next. right: by image that exactly `students` have answered."""

    students: tuple[int, ...]
    right: dict[int, bool]
    tally: Tally

    @property
    def accuracy(self) -> float | None:
        """Over the images in `right`; None when there are none."""
        return sum(self.right.values()) / len(self.right) if self.right else None


class Rehearsal:
    """One image a request, IN_FLIGHT requests at any time, round and round until the `async with` block ends.

    async with Rehearsal(client, images, labels) as rehearsal:
        whole = await rehearsal.stage(range(8))
        halved = await rehearsal.stage(range(4), before=kill_four_devices)
    """

    def __init__(
        self, client: AsyncClient, images: NDArray[np.uint8], labels: NDArray[np.integer[Any]]
    ) -> None:
        self._client = client
        self._images = images
        self._labels = labels
        self._rounds = cycle(range(len(images)))
        self._wanted: deque[int] = deque()  # images that this stage has yet to measure
        self._stage = Stage((), {}, Tally())
        self._measured = asyncio.Event()
        self._stopped = False
        self._workers = asyncio.TaskGroup()
        self.stages: list[Stage] = []

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        for _ in range(IN_FLIGHT):
            self._workers.create_task(self._work())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Waits for the answers to the requests in flight, unless there was an error."""
        self._stopped = True
        await self._workers.__aexit__(kind, error, trace)

    @property
    def total(self) -> Tally:
        return sum((stage.tally for stage in self.stages), Tally())

    async def stage(
        self,
        students: Collection[int],
        before: Callable[[], Awaitable[None]] | None = None,
        measured: Callable[[], None] = lambda: None,
    ) -> Stage:
        """Ask until exactly `students` have answered every image, or STAGE_SECONDS have passed.

        `before` is what makes them the only ones; requests are in flight meanwhile and count to this stage.
        `measured` is called for each image.
        """
        self._stage = Stage(tuple(sorted(students)), {}, Tally())
        self.stages.append(self._stage)
        if before is not None:
            await before()
        self._wanted = deque(range(len(self._images)))
        seen = 0
        try:
            async with asyncio.timeout(STAGE_SECONDS):
                while seen < len(self._images):
                    await self._measured.wait()
                    self._measured.clear()
                    for _ in range(len(self._stage.right) - seen):
                        measured()
                    seen = len(self._stage.right)
        except TimeoutError:
            pass
        self._wanted.clear()
        return self._stage

    async def _work(self) -> None:
        while not self._stopped:
            wanted = bool(self._wanted)
            index = self._wanted.popleft() if wanted else next(self._rounds)
            if not await self._ask(index) and wanted:
                self._wanted.append(index)

    async def _ask(self, index: int) -> bool:
        """Whether the answer came from exactly the stage's students."""
        try:
            answer = await self._client.predict(self._images[index], deadline=DEADLINE)
        except NonnError as error:
            if isinstance(error, RequestRefused):
                self._stage.tally.refused += 1
            else:
                self._stage.tally.lost += 1
            await asyncio.sleep(PAUSE_AFTER_FAILURE)
            return False
        self._stage.tally.answered += 1
        return self._note(index, answer)

    def _note(self, index: int, answer: Answer) -> bool:
        if answer.answered != self._stage.students:
            return False
        self._stage.right[index] = int(answer.logits[0].argmax()) == int(self._labels[index])
        self._measured.set()
        return True
