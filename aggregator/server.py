"""The gRPC front: three services on one port, raw bytes in and out."""

import asyncio
import importlib.metadata
import logging
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from aggregator import effects, events, wire
from aggregator.address import check_free, join
from aggregator.driver import Driver
from aggregator.errors import ListenError, SettingsError
from aggregator.gate import FEWEST_REQUESTS, Gate, limits
from aggregator.guard import Call, Guard
from aggregator.peers import CertifiedPeers, Peer, PlainPeers
from aggregator.receive import read_within
from aggregator.refusal import CallRefused
from aggregator.settings import Settings
from aggregator.sizes import LARGEST_MESSAGE, message_limit, of_a_device
from aggregator.turns import Shares
from aggregator.upload import receive_bundle
from bundle import Bundle, BundleError, InputError
from protos import endpoints, nonn_pb2

HELLO_SECONDS = 5.0
FAREWELL_SECONDS = 2.0
UPLOAD_RETRY_SECONDS = 1.0
CHUNK = 256 * 1024
MOST_CONNECTIONS = 4096
LONGEST_LINE = 100_000

log = logging.getLogger("aggregator")


class Aggregator:
    """Serves a bundle from entering the context until leaving it, which drains first.

    >>> async with Aggregator(bundle, listen="127.0.0.1:0") as aggregator:  # doctest: +SKIP
    ...     print(aggregator.address)

    tls: the folder that `nonn certs` made for the aggregator; connections are mutual TLS then.

    Raises ListenError when the address cannot be had; SettingsError when it is open to other machines without
    `tls` or `insecure`, or a batch does not fit into a message; CertificateError for what the folder lacks.
    """

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings | None = None,
        *,
        listen: str = "127.0.0.1:7560",
        insecure: bool = False,
        tls: Path | None = None,
    ) -> None:
        self.bundle = bundle
        self.settings = settings or Settings()
        try:
            self._host, self._port = endpoints.split(listen)
        except ValueError as error:
            raise SettingsError(str(error)) from None
        if tls is not None and insecure:
            raise SettingsError("TLS and insecure exclude each other: say --tls DIR alone")
        if tls is None and not insecure and not endpoints.is_loopback(self._host):
            raise SettingsError(
                f"{listen} is open to other machines, in plain text: say --tls DIR (`nonn certs init` makes "
                "one), listen on 127.0.0.1, or say --insecure"
            )
        self._tls = None if tls is None else CertifiedPeers(tls)
        self._version = importlib.metadata.version("nonn")
        self._limit = message_limit(bundle, self.settings)
        self._uploading: asyncio.Task[Bundle] | None = None  # a bundle is large: one at a time

    @property
    def address(self) -> str:
        """HOST:PORT, the port being the chosen one."""
        return join(self._host, self._port)

    async def __aenter__(self) -> Self:
        check_free(self._host, self._port)
        self._driver = Driver(self.bundle, self.settings)
        try:
            await self._start()
        except BaseException:
            self._driver.close()
            raise
        return self

    async def _start(self) -> None:
        students = len(self.bundle.manifest.students)
        guard = Guard(limits(self.settings.queue, students, certified=self._tls is not None))
        self._gate = Gate(
            self._tls or PlainPeers(),
            guard,
            of_a_device(self.bundle, self.settings),
            Shares(max(self.settings.max_batch // 4, FEWEST_REQUESTS)),
            self._limit,
        )
        self._server = grpc.aio.server(options=self._options())
        self._server.add_generic_rpc_handlers(self._handlers())
        try:
            if self._tls is None:
                self._port = self._server.add_insecure_port(self.address)
            else:
                self._port = self._server.add_secure_port(self.address, self._tls.for_server())
        except RuntimeError as error:
            raise ListenError(f"cannot listen on {self.address}: {wire.one_line(str(error))}") from None
        await self._server.start()
        self._watch = asyncio.create_task(self._gate.watch())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._driver.drained()
        finally:
            self._driver.close()
            self._watch.cancel()
            await self._server.stop(FAREWELL_SECONDS)

    def _options(self) -> list[tuple[str, int]]:
        return [
            ("grpc.so_reuseport", 0),  # else two servers share a port, and nobody is told
            ("grpc.max_receive_message_length", self._limit),
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            # New calls wait in one line for everyone's: a connection may not put more than this into it.
            ("grpc.max_concurrent_streams", 128),
            # What a client begins beyond that waits on its side. Otherwise some would be reset, unanswered,
            # while calls that are over have not been cleared away yet; or cancelled when the line is long.
            ("grpc.http.overload_protection", 0),
            ("grpc.server.max_pending_requests", LONGEST_LINE),
            ("grpc.server.max_pending_requests_hard_limit", LONGEST_LINE),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            # Otherwise a fast peer is granted megabytes for each of its streams, read or not.
            ("grpc.http2.bdp_probe", 0),
            # Connections that come to nothing, and those over which nothing is asked.
            ("grpc.server_handshake_timeout_ms", 10_000),
            ("grpc.max_connection_idle_ms", 300_000),
            ("grpc.max_allowed_incoming_connections", MOST_CONNECTIONS),
        ]

    def _handlers(self) -> tuple[grpc.GenericRpcHandler, ...]:
        gate, both, one = (
            self._gate,
            grpc.stream_stream_rpc_method_handler,
            grpc.stream_unary_rpc_method_handler,
        )
        cluster = {
            "Join": both(gate.stream(Call.JOIN, self._join)),
            "FetchStudent": both(gate.request(Call.FETCH, self._fetch_student)),
        }
        inference = {
            "Predict": one(gate.request(Call.PREDICT, self._predict)),
            "Status": one(gate.request(Call.STATUS, self._status)),
        }
        operation = {"Reload": one(gate.stream(Call.OPERATION, self._reload))}
        return (
            grpc.method_handlers_generic_handler("nonn.v1.Cluster", cluster),
            grpc.method_handlers_generic_handler("nonn.v1.Inference", inference),
            grpc.method_handlers_generic_handler("nonn.v1.Operation", operation),
        )

    async def _join(self, peer: Peer, context: Any) -> None:
        try:
            facts = self._gate.admit(peer, await _first_hello(context))
        except CallRefused as refusal:
            self._gate.complain(f"a device was turned away: {refusal}")
            raise
        link = self._driver.open_link(facts)
        reason = "its connection broke"
        try:
            hear = self._gate.listen(link, peer, facts, self._driver.receive)
            code, reason = await link.run(context, hear)
        finally:
            self._gate.forget(link)
            self._driver.close_link(link, reason)
            await link.finish()
        if code is not grpc.StatusCode.OK:
            raise CallRefused(code, reason)

    async def _fetch_student(self, data: bytes, context: Any) -> None:
        try:
            model = self._driver.find_student(wire.parse(nonn_pb2.FetchStudentRequest, data).sha256)
        except InputError as error:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        if model is None:
            raise CallRefused(grpc.StatusCode.NOT_FOUND, "no student of this bundle has that sha256")
        for start in range(0, len(model), CHUNK):
            await context.write(nonn_pb2.Chunk(data=model[start : start + CHUNK]).SerializeToString())

    async def _predict(self, data: bytes, context: Any) -> bytes:
        try:
            request = wire.parse(nonn_pb2.PredictRequest, data)
            images = wire.read_images(request.images)
            policy = wire.read_policy(request)
        except InputError as error:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        outcome = await self._driver.ask(
            images,
            context.time_remaining(),
            strict=request.strict,
            bundle_id=request.bundle_id,
            policy=policy,
        )
        if isinstance(outcome, effects.Refuse):
            code = grpc.StatusCode[outcome.code.value]
            raise CallRefused(code, outcome.message, outcome.retry_after)
        return wire.answer(outcome)

    async def _reload(self, _: Peer, context: Any) -> bytes:
        if self._uploading:
            problem = "another bundle is being uploaded: try again when it is there"
            raise CallRefused(grpc.StatusCode.RESOURCE_EXHAUSTED, problem, UPLOAD_RETRY_SECONDS)
        # It goes on, to its own end, when the operator has gone: then its memory is free for the next one.
        self._uploading = asyncio.create_task(receive_bundle(context))
        self._uploading.add_done_callback(self._uploaded)
        try:
            bundle = await asyncio.shield(self._uploading)
            if message_limit(bundle, self.settings) > self._limit:
                raise InputError("its images are larger than this aggregator takes: start another one for it")
        except (BundleError, InputError, SettingsError) as error:
            raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, str(error)) from None
        self._gate.expectation |= of_a_device(bundle, self.settings)
        outcome = await self._driver.reload(bundle)
        if isinstance(outcome, effects.ReloadFailed):
            raise CallRefused(grpc.StatusCode.FAILED_PRECONDITION, outcome.reason)
        return wire.reloaded(outcome)

    def _uploaded(self, uploading: asyncio.Task[Bundle]) -> None:
        self._uploading = None
        if not uploading.cancelled():
            uploading.exception()  # whoever waits for it is told; maybe nobody does any more

    async def _status(self, _: bytes, context: Any) -> bytes:
        return self._driver.status(self._version)


async def _first_hello(context: Any) -> events.DeviceFacts:
    try:
        first = await read_within(context, HELLO_SECONDS)
    except TimeoutError:
        raise CallRefused(grpc.StatusCode.DEADLINE_EXCEEDED, f"no Hello within {HELLO_SECONDS:g} s") from None
    if first is grpc.aio.EOF:
        raise CallRefused(grpc.StatusCode.INVALID_ARGUMENT, "the stream ended before a Hello")
    try:
        return wire.read_hello(first)
    except wire.HelloError as error:
        wrong_version = grpc.StatusCode.FAILED_PRECONDITION
        code = wrong_version if error.version else grpc.StatusCode.INVALID_ARGUMENT
        raise CallRefused(code, str(error)) from None
