"""The callers: requests at their times, and what became of each."""

import asyncio
import itertools
import time
from collections.abc import Callable
from random import Random
from typing import Any, Final

import grpc
import numpy as np

from fault_lab.record import Ending, Outcome
from fault_lab.run.judge import Judge
from fault_lab.run.pulse import Pulse
from fault_lab.run.truth import Truth
from fault_lab.scenario import Load
from protos import REFUSED_KEY, nonn_pb2, nonn_pb2_grpc, policies, tensors

HELD_UP: Final = "HELD_UP"
PREDICT: Final = "/nonn.v1.Inference/Predict"
OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    # A caller that waited longer after each failure would not see how soon the cluster is back.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
)

Done = Callable[[Outcome, list[str]], None]


class Callers:
    """`done` is told each outcome, once, with what is wrong with it. excused: whether a request that was sent
    then, and found nobody there, cannot blame the cluster. liars: the students that may have lied to it.
    """

    def __init__(
        self,
        address: str,
        truth: Truth,
        load: Load,
        seed: int,
        judge: Judge,
        done: Done,
        excused: Callable[[float], bool],
        liars: Callable[[float], frozenset[int]],
    ) -> None:
        self._address = address
        self._truth = truth
        self._load = load
        self._random = Random(f"nonn callers {seed}")
        self._judge = judge
        self._done = done
        self._excused = excused
        self._liars = liars
        self._numbers = itertools.count()
        self._order = np.random.default_rng(seed).permutation(len(truth.images))
        self._began = 0.0
        self._pulse = Pulse()

    async def run(self, began: float, seconds: float) -> None:
        """From `began` on (of time.monotonic) for so long; returns when every request has its outcome."""
        self._began = began
        beating = asyncio.create_task(self._pulse.run())
        try:
            await self._call(seconds)
        finally:
            beating.cancel()

    async def _call(self, seconds: float) -> None:
        async with grpc.aio.insecure_channel(self._address, options=OPTIONS) as channel:
            predict = channel.unary_unary(PREDICT, response_deserializer=nonn_pb2.PredictResponse.FromString)
            if self._load.rate is not None:
                await self._open_loop(predict, self._load.rate, seconds)
            else:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._load.clients or 0):
                        group.create_task(self._caller(predict, seconds))

    async def _open_loop(self, predict: Any, rate: float, seconds: float) -> None:
        """Poisson arrivals: as from many callers who know nothing of each other."""
        async with asyncio.TaskGroup() as group:
            at = self._random.expovariate(rate)
            while at < seconds:
                await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))
                group.create_task(self._ask(predict))
                at += self._random.expovariate(rate)

    async def _caller(self, predict: Any, seconds: float) -> None:
        while time.monotonic() - self._began < seconds:
            await self._ask(predict)
            await asyncio.sleep(self._load.pause)

    async def _ask(self, predict: Any) -> None:
        number = next(self._numbers)
        load, count = self._load, len(self._order)
        places = [(number * load.images + place) % count for place in range(load.images)]
        rows = self._order[places]
        request = self._request(rows)
        sent = time.monotonic()
        told: dict[str, Any] = {}
        problems: list[str] = []
        code = ""
        try:
            response = await predict(request, timeout=load.deadline)
        except grpc.aio.AioRpcError as error:
            ending, code = self._failed(error, sent - self._began)
        else:
            ending = Ending.ANSWERED
            told, problems = self._judge.read(response, rows, self._liars(sent - self._began))
        outcome = Outcome(
            number,
            sent - self._began,
            time.monotonic() - sent,
            ending,
            load.images,
            first=int(rows[0]),
            code=code,
            **told,
        )
        if wrong := self._judge.ending(outcome, held_up=self._pulse.held_up()):
            problems.append(wrong)
        self._done(outcome, problems)

    def _failed(self, error: grpc.aio.AioRpcError, sent: float) -> tuple[Ending, str]:
        code = error.code().name
        if REFUSED_KEY in dict(error.trailing_metadata() or ()):
            return Ending.REFUSED, code
        if self._excused(sent):
            return Ending.UNREACHABLE, code
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and self._pulse.held_up():
            return Ending.UNREACHABLE, HELD_UP
        return Ending.LOST, f"{code}: {' '.join((error.details() or '').split())}"

    def _request(self, rows: Any) -> bytes:
        request = nonn_pb2.PredictRequest(
            images=tensors.encode(self._truth.images[rows]),
            strict=self._load.strict,
            **policies.fields(*policies.parse(self._load.policy)),
        )
        data: bytes = request.SerializeToString()
        return data


async def probe(address: str, truth: Truth, deadline: float) -> tuple[int, ...] | None:
    """The students that are missing in the answer to one request; None when there is no answer."""
    images = tensors.encode(truth.images[:1])
    request = nonn_pb2.PredictRequest(images=images, policy=nonn_pb2.ALL)
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        try:
            response = await nonn_pb2_grpc.InferenceStub(channel).Predict(request, timeout=deadline)
        except grpc.aio.AioRpcError:
            return None
    return tuple(response.missing)
