"""Ask a cluster: `Client` from threads, `AsyncClient` from asyncio."""

import asyncio
import time
from collections.abc import Generator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from numpy.typing import ArrayLike

from nonn.cluster_status import ClusterStatus
from nonn.exchange import CHANNEL_OPTIONS, Answer, Ask, Exchange, Reloaded, check_deadline
from protos import nonn_pb2_grpc

__all__ = ["Answer", "AsyncClient", "Client", "ClusterStatus", "Reloaded"]

T = TypeVar("T")
DEADLINE = 2.0  # seconds
RELOAD_DEADLINE = 120.0


class Client:
    """A connection to a cluster, for any number of threads.

        with Client("127.0.0.1:7560") as client:
            answer = client.predict(images, deadline=0.5)
            print(answer.labels, answer.missing, answer.expected_accuracy)

    images: uint8, one [H, W, C], one [H, W] where the network takes one channel, or a batch [N, H, W, C].
    Nothing is sent before the first call. tls: the folder of a client's or operator's certificate, as
    `nonn certs` hands it out; CertificateError when it is no such thing. Without it the connection is in
    plain text, and to another machine with `insecure=True` only; UsageError otherwise.

    Every call has a deadline in seconds, and raises RequestRefused (its `code` says why, `retry_after` when
    to ask again), ClusterUnreachable, CertificateError, or InputError for images that the network does not
    take.
    """

    def __init__(self, address: str, *, insecure: bool = False, tls: Path | str | None = None) -> None:
        self._exchange = Exchange(address, insecure=insecure, tls=tls)
        self._channel = open_channel(grpc, self._exchange)
        self._calls = calls(self._channel)

    def predict(
        self,
        images: ArrayLike,
        deadline: float = DEADLINE,
        *,
        strict: bool = False,
        bundle: str = "",
        policy: str = "",
    ) -> Answer:
        """strict: rather be refused than have students missing. bundle: refuse any other than this id.

        policy: `all` waits for every student, `covered` for one of each part, `quorum=N` for so many; the
        aggregator's own when left out.
        """
        return self._drive(self._exchange.predict(images, strict, bundle, policy), deadline)

    def status(self, deadline: float = DEADLINE) -> ClusterStatus:
        """The cluster's bundle, students, devices and counts."""
        return self._drive(self._exchange.status(), deadline)

    def reload(self, bundle: Path | str, deadline: float = RELOAD_DEADLINE) -> Reloaded:
        """Have the cluster serve this bundle. RequestRefused when it went back to the one before."""
        return self._drive(self._exchange.reload(Path(bundle)), deadline)

    def close(self) -> None:
        """End the connection; calls under way fail. Safe to call again."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _drive(self, steps: Generator[Ask, Any, T], deadline: float) -> T:
        end = time.monotonic() + check_deadline(deadline)
        try:
            ask = next(steps)
            while True:
                call = self._calls[ask.method]
                try:
                    response = call(ask.request, timeout=max(end - time.monotonic(), 0.0))
                except grpc.RpcError as error:
                    raise self._exchange.explain(error, ask, deadline) from None
                ask = steps.send(response)
        except StopIteration as done:
            result: T = done.value
            return result


class AsyncClient:
    """The asyncio twin of `Client`, with the same calls and errors.

    async with AsyncClient("127.0.0.1:7560") as client:
        answer = await client.predict(images, deadline=0.5)
    """

    def __init__(self, address: str, *, insecure: bool = False, tls: Path | str | None = None) -> None:
        self._exchange = Exchange(address, insecure=insecure, tls=tls)
        self._channel: grpc.aio.Channel | None = None

    async def predict(
        self,
        images: ArrayLike,
        deadline: float = DEADLINE,
        *,
        strict: bool = False,
        bundle: str = "",
        policy: str = "",
    ) -> Answer:
        """As `Client.predict`."""
        return await self._drive(self._exchange.predict(images, strict, bundle, policy), deadline)

    async def status(self, deadline: float = DEADLINE) -> ClusterStatus:
        """The cluster's bundle, students, devices and counts."""
        return await self._drive(self._exchange.status(), deadline)

    async def reload(self, bundle: Path | str, deadline: float = RELOAD_DEADLINE) -> Reloaded:
        """As `Client.reload`."""
        return await self._drive(self._exchange.reload(Path(bundle)), deadline)

    async def close(self) -> None:
        """End the connection; calls under way fail. Safe to call again."""
        if self._channel is not None:
            await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _drive(self, steps: Generator[Ask, Any, T], deadline: float) -> T:
        end = time.monotonic() + check_deadline(deadline)
        methods = self._open()
        try:
            ask = next(steps)
            while True:
                call = methods[ask.method]
                try:
                    response = await call(ask.request, timeout=max(end - time.monotonic(), 0.0))
                except grpc.RpcError as error:
                    # It may have to look at the aggregator once more, which must not hold up the loop.
                    raise await asyncio.to_thread(self._exchange.explain, error, ask, deadline) from None
                ask = steps.send(response)
        except StopIteration as done:
            result: T = done.value
            return result

    def _open(self) -> dict[str, Any]:
        if self._channel is None:  # not earlier: an aio channel belongs to the loop that runs when it is made
            self._channel = open_channel(grpc.aio, self._exchange)
            self._calls = calls(self._channel)
        return self._calls


def open_channel(kind: Any, exchange: Exchange) -> Any:
    """kind: grpc or grpc.aio."""
    credentials = exchange.credentials
    if credentials is None:
        return kind.insecure_channel(exchange.address, options=CHANNEL_OPTIONS)
    return kind.secure_channel(exchange.address, credentials.for_channel(), options=CHANNEL_OPTIONS)


def calls(channel: Any) -> dict[str, Any]:
    """By name, every method that an `Ask` may name."""
    inference, operation = nonn_pb2_grpc.InferenceStub(channel), nonn_pb2_grpc.OperationStub(channel)
    return {"Predict": inference.Predict, "Status": inference.Status, "Reload": operation.Reload}
