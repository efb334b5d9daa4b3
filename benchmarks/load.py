"""Requests at a steady rate against a cluster that is being hurt, each outcome checked and counted."""

import asyncio
import collections
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from bundle import Bundle
from fault_lab.run.judge import DOCUMENTED
from fault_lab.run.truth import Truth as Offline
from nonn import AsyncClient
from nonn.errors import RequestRefused

TOLERANCE = 1e-3  # of logits


class Truth:
    """What a cluster must answer for one batch of images, whichever students have answered."""

    def __init__(self, bundle: Bundle, images: int = 1) -> None:
        manifest = bundle.manifest
        shape = (images, *manifest.input.shape)
        self.images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        self._offline = Offline(bundle, self.images)
        self._rows = np.arange(images)

    def agrees(self, answer: Any) -> bool:
        """The logits are the merge of exactly the students that the answer names."""
        known = self._offline.logits(answer.answered, self._rows)
        whole = sorted((*answer.answered, *answer.missing)) == list(range(self._offline.students))
        return whole and bool(np.allclose(answer.logits, known, rtol=TOLERANCE, atol=TOLERANCE))


@dataclass
class Tally:
    """lost: what was said of calls that got neither an answer nor a documented refusal in time."""

    offered: int = 0
    answered: int = 0
    degraded: int = 0
    wrong: int = 0
    slowest: float = 0.0
    refused: collections.Counter[str] = field(default_factory=collections.Counter)
    lost: list[str] = field(default_factory=list)

    @property
    def in_flight(self) -> int:
        return self.offered - self.answered - self.refused.total() - len(self.lost)

    def figures(self) -> dict[str, Any]:
        return {
            "offered": self.offered,
            "answered": self.answered,
            "answered_degraded": self.degraded,
            "answered_wrongly": self.wrong,
            "refused": dict(self.refused),
            "lost": len(self.lost),
            "lost_examples": self.lost[:10],
            "slowest_s": round(self.slowest, 3),
        }


async def ask(client: AsyncClient, truth: Truth, tally: Tally, deadline: float) -> None:
    tally.offered += 1
    started = time.monotonic()
    try:
        answer = await client.predict(truth.images, deadline)
    except RequestRefused as refusal:
        if refusal.code in DOCUMENTED:
            tally.refused[refusal.code] += 1
        else:
            tally.lost.append(f"{refusal.code}: {refusal}")
    except Exception as error:
        tally.lost.append(repr(error))
    else:
        tally.answered += 1
        tally.degraded += answer.degraded
        tally.wrong += not truth.agrees(answer)
    tally.slowest = max(tally.slowest, time.monotonic() - started)


class Load:
    """Within the block, `in_flight` callers ask one after another, from a thread of their own.

    pause: seconds between an outcome and the caller's next request.
    """

    def __init__(
        self, address: str, truth: Truth, *, in_flight: int = 8, pause: float = 0.02, deadline: float = 5.0
    ) -> None:
        self.tally = Tally()
        self._address = address
        self._truth = truth
        self._in_flight = in_flight
        self._pause = pause
        self._deadline = deadline
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    async def _run(self) -> None:
        async with AsyncClient(self._address) as client:
            await asyncio.gather(*(self._caller(client) for _ in range(self._in_flight)))

    async def _caller(self, client: AsyncClient) -> None:
        while not self._stop.is_set():
            await ask(client, self._truth, self.tally, self._deadline)
            await asyncio.sleep(self._pause)
