"""Every set of devices lost, one after another, on a live cluster, and what it answers then."""

import asyncio
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

import grpc
import numpy as np
from numpy.typing import NDArray

from bundle.errors import NonnError
from fault_lab.grounds.ground import Ground
from fault_lab.run.asking import OPTIONS
from fault_lab.run.observer import Observer
from fault_lab.run.truth import Truth
from fault_lab.scenario import Injection
from fault_lab.scenario.faults import Kill
from protos import nonn_pb2, nonn_pb2_grpc, tensors

BATCH: Final = 64  # images in a request
DEADLINE: Final = 10.0
ATTEMPTS: Final = 20
SETTLING: Final = 30.0  # seconds that a device may take to be gone, or to be back


@dataclass(frozen=True, slots=True)
class Found:
    """One set of devices that are lost, and so the students that answer. observed: on the run's images.

    merged: what the offline merge of exactly these students gets on the same images. expected: as the bundle
    says, of its validation images.
    """

    lost: tuple[int, ...]
    answered: tuple[int, ...]
    images: int
    observed: float
    merged: float
    expected: float


def choose(devices: int, most: int, seed: int) -> list[tuple[int, ...]]:
    """Sets of lost devices, for each number from 0 to devices - 1: all, or `most` drawn from the seed.

    In an order in which one follows from the other by few kills and starts.
    """
    random = Random(f"nonn sweep {seed}")
    chosen: set[int] = set()
    for lost in range(devices):
        if math.comb(devices, lost) <= most:
            chosen |= {_mask(members) for members in itertools.combinations(range(devices), lost)}
        else:
            drawn: set[int] = set()
            while len(drawn) < most:
                drawn.add(_mask(random.sample(range(devices), lost)))
            chosen |= drawn
    ordered = sorted(chosen, key=_gray_rank)
    return [tuple(device for device in range(devices) if mask >> device & 1) for mask in ordered]


def _mask(members: Sequence[int]) -> int:
    return sum(1 << member for member in members)


def _gray_rank(code: int) -> int:
    """Of a word of the reflected binary Gray code: the next one differs in a single bit (Gray 1953)."""
    rank = 0
    while code:
        rank ^= code
        code >>= 1
    return rank


class SweepFailed(NonnError):
    """The cluster did not get to a state that the sweep is to measure."""


class Sweep:
    """Use once. The ground's scenario says heal_after "never", so that nobody takes over what is lost."""

    def __init__(self, ground: Ground, truth: Truth, devices: int) -> None:
        self._ground = ground
        self._truth = truth
        self._devices = devices
        self._lost: frozenset[int] = frozenset()
        self._observer = Observer(ground.address, devices, lambda observer: None)
        self._deaths: dict[int, Injection] = {}

    async def run(self, sets: Sequence[tuple[int, ...]], measured: Callable[[Found], object]) -> None:
        """Tells each as soon as it has been measured. Raises SweepFailed."""
        looking = asyncio.create_task(self._observer.run())
        try:
            async with grpc.aio.insecure_channel(self._ground.address, options=OPTIONS) as channel:
                stub = nonn_pb2_grpc.InferenceStub(channel)
                for lost in sets:
                    await self._lose(frozenset(lost))
                    measured(await self._measure(stub, lost))
        finally:
            looking.cancel()

    async def _lose(self, lost: frozenset[int]) -> None:
        """Kill and start devices until exactly these are lost."""
        for device in sorted(self._lost - lost):
            await asyncio.to_thread(self._ground.end, self._deaths.pop(device))
        for device in sorted(lost - self._lost):
            kill = Kill(type="kill", target=f"device-{device}", at=0.0)
            self._deaths[device] = Injection(device, kill, device, 0.0, math.inf)
            await asyncio.to_thread(self._ground.begin, self._deaths[device])
        self._lost = lost
        wanted = {f"device-{device}" for device in range(self._devices) if device not in lost}

        def there() -> bool:
            serving = {name for name, state in self._observer.states() if state == "serving"}
            return serving == wanted and not self._observer.unloaded()

        if not await self._observer.wait(there, SETTLING):
            states = ", ".join(f"{name} {state}" for name, state in self._observer.states())
            raise SweepFailed(f"{SETTLING:g} s after {sorted(lost)} were lost the devices are: {states}")

    async def _measure(self, stub: Any, lost: tuple[int, ...]) -> Found:
        truth, right, everyone = self._truth, 0, np.arange(len(self._truth.images))
        names = self._observer.served()
        for start in range(0, len(everyone), BATCH):
            rows = everyone[start : start + BATCH]
            logits = await self._ask_until(stub, rows, names)
            right += truth.right(logits, rows) or 0
        merged = truth.right(truth.logits(names, everyone), everyone) or 0
        images = len(everyone)
        expected = truth.bundle.expected_accuracy(names)
        return Found(lost, names, images, right / images, merged / images, expected)

    async def _ask_until(
        self, stub: Any, rows: NDArray[np.intp], names: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Of exactly these students: one that is slower than usual may be left out of an answer."""
        for _ in range(ATTEMPTS):
            answered, logits = await self._ask(stub, rows)
            if answered == names:
                return logits
        raise SweepFailed(
            f"students {names} are served, and {ATTEMPTS} answers came from {answered} or others"
        )

    async def _ask(self, stub: Any, rows: NDArray[np.intp]) -> tuple[tuple[int, ...], NDArray[np.float32]]:
        request = nonn_pb2.PredictRequest(images=tensors.encode(self._truth.images[rows]))
        try:
            response = await stub.Predict(request, timeout=DEADLINE)
            return tuple(response.answered), tensors.decode(response.logits, nonn_pb2.FLOAT32, 2)
        except (grpc.aio.AioRpcError, ValueError) as error:
            raise SweepFailed(f"a request came to nothing: {' '.join(str(error).split())[:300]}") from error
