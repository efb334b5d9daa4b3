"""The gRPC front: two services on one port, raw bytes in and out."""

import asyncio
import importlib.metadata
import logging
import math
from collections.abc import AsyncIterator
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

import grpc

from aggregator import effects, events, wire
from aggregator.address import check_free, join
from aggregator.driver import Driver
from aggregator.errors import ListenError, SettingsError
from aggregator.settings import Settings
from aggregator.upload import receive_bundle
from bundle import Bundle, BundleError, InputError
from protos import REFUSED_KEY, endpoints, nonn_pb2

HELLO_SECONDS = 5.0
FAREWELL_SECONDS = 2.0
CHUNK = 256 * 1024
# A device takes no larger message.
LARGEST_MESSAGE = 64 * 2**20
# Requests that are a little too large are told so by us, not by gRPC.
SMALLEST_LIMIT = 4 * 2**20
HEADROOM = 2**16

log = logging.getLogger("aggregator")


class Aggregator:
    """Serves a bundle from entering the context until leaving it, which drains first.

    >>> async with Aggregator(bundle, listen="127.0.0.1:0") as aggregator:  # doctest: +SKIP
    ...     print(aggregator.address)

    Raises ListenError when the address cannot be had; SettingsError when it is open to other machines without
    `insecure`, or a batch does not fit into a message.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings | None = None,
        *,
        listen: str = "127.0.0.1:7560",
        insecure: bool = False,
    ) -> None:
        self.bundle = bundle
        self.settings = settings or Settings()
        try:
            self._host, self._port = endpoints.split(listen)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if not insecure and not endpoints.is_loopback(self._host):
            raise SettingsError(
                f"{listen} is open to other machines, in plain text: listen on 127.0.0.1, or say --insecure"
            )
        self._version = importlib.metadata.version("nonn")
        self._limit = _message_limit(bundle, self.settings)

    @property
    def address(self) -> str:
        """HOST:PORT, the port being the chosen one."""
        return join(self._host, self._port)

    async def __aenter__(self) -> Self:
        check_free(self._host, self._port)
        self._driver = Driver(self.bundle, self.settings)
        self._server = grpc.aio.server(options=self._options())
        self._server.add_generic_rpc_handlers(self._handlers())
        try:
            self._port = self._server.add_insecure_port(self.address)
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {self.address}: {wire.one_line(str(error))}") from None
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._driver.drained()
        finally:
            self._driver.close()
            await self._server.stop(FAREWELL_SECONDS)

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 0),  # else two servers share a port, and nobody is told
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            ("grpc.max_concurrent_streams", 1024),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
        ]

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        operation = {"Reload": grpc.stream_unary_rpc_method_handler(self._reload)}
        cluster = {
            "Join": grpc.stream_stream_rpc_method_handler(self._join),
            "FetchStudent": grpc.unary_stream_rpc_method_handler(self._fetch_student),
        }
        inference = {
            "Predict": grpc.unary_unary_rpc_method_handler(self._predict),
            "Status": grpc.unary_unary_rpc_method_handler(self._status),
        }
        return (
            grpc.method_handlers_generic_handler("nonn.v1.Cluster", cluster),
            grpc.method_handlers_generic_handler("nonn.v1.Inference", inference),
            grpc.method_handlers_generic_handler("nonn.v1.Operation", operation),
        )

    async def _join(self, _: AsyncIterator[bytes], context: Any) -> None:
        facts = await _first_hello(context)
        link = self._driver.open_link(facts)
        reason = "its connection broke"
        try:
            code, reason = await link.run(context, partial(self._driver.receive, link))
        finally:
            self._driver.close_link(link, reason)
            await link.finish()
        if code is not grpc.StatusCode.OK:
            await _abort(context, code, reason)

    async def _fetch_student(self, data: bytes, context: Any) -> None:
        try:
            model = self._driver.find_student(wire.parse(nonn_pb2.FetchStudentRequest, data).sha256)
        except InputError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if model is None:
            await _abort(context, grpc.StatusCode.NOT_FOUND, "no student of this bundle has that sha256")
        for start in range(0, len(model), CHUNK):
            await context.write(nonn_pb2.Chunk(data=model[start : start + CHUNK]).SerializeToString())

    async def _predict(self, data: bytes, context: Any) -> bytes:
        try:
            request = wire.parse(nonn_pb2.PredictRequest, data)
            images = wire.read_images(request.images)
            policy = wire.read_policy(request)
        except InputError as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        outcome = await self._driver.ask(
            images,
            context.time_remaining(),
            strict=request.strict,
            bundle_id=request.bundle_id,
            policy=policy,
        )
        if isinstance(outcome, effects.Refuse):
            retry = outcome.retry_after
            metadata = () if retry is None else (("retry-after-ms", str(math.ceil(retry * 1000))),)
            await _abort(context, grpc.StatusCode[outcome.code.value], outcome.message, metadata)
        return wire.answer(outcome)

    async def _reload(self, _: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            bundle = await receive_bundle(context)
            if _message_limit(bundle, self.settings) > self._limit:
                raise InputError("its images are larger than this aggregator takes: start another one for it")
        except (BundleError, InputError, SettingsError) as error:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(error))
        outcome = await self._driver.reload(bundle)
        if isinstance(outcome, effects.ReloadFailed):
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, outcome.reason)
        return wire.reloaded(outcome)

    async def _status(self, _: bytes, context: Any) -> bytes:
        return self._driver.status(self._version)


async def _first_hello(context: Any) -> events.DeviceFacts:
    try:
        async with asyncio.timeout(HELLO_SECONDS):
            first = await context.read()
    except TimeoutError:
        await _abort(context, grpc.StatusCode.DEADLINE_EXCEEDED, f"no Hello within {HELLO_SECONDS:g} s")
    if first is grpc.aio.EOF:
        await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the stream ended before a Hello")
    try:
        return wire.read_hello(first)
    except wire.HelloError as error:
        wrong_version = grpc.StatusCode.FAILED_PRECONDITION
        code = wrong_version if error.version else grpc.StatusCode.INVALID_ARGUMENT
        log.warning("a device was turned away: %s", error)
        await _abort(context, code, str(error))


async def _abort(
    context: Any, code: grpc.StatusCode, message: str, metadata: tuple[tuple[str, str], ...] = ()
) -> NoReturn:
    await context.abort(code, message, ((REFUSED_KEY, "1"), *metadata))
    raise AssertionError("abort always raises")


def _message_limit(bundle: Bundle, settings: Settings) -> int:
    """Bytes that one message from outside may have."""
    rows = max(math.prod(bundle.manifest.input.shape), 4 * bundle.manifest.classes)
    largest = settings.max_batch * rows + HEADROOM
    if largest > LARGEST_MESSAGE:
        most = (LARGEST_MESSAGE - HEADROOM) // rows
        raise SettingsError(
            f"{settings.max_batch} images do not fit into one message: the largest batch is {most}"
        )
    return min(max(4 * largest, SMALLEST_LIMIT), LARGEST_MESSAGE)
