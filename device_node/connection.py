"""One Join stream, from Hello to its end."""

import asyncio
import contextlib
import time
from concurrent.futures import Executor
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from device_node.errors import ProtocolMismatch, one_line
from device_node.hosting import Hosting
from device_node.pulse import BEAT_SECONDS, Pulse
from device_node.worker import Worker
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc
from protos.credentials import Credentials

CONNECT_SECONDS: Final = 5.0  # until the Welcome
SILENT_PINGS: Final = 5  # so many ping periods without a message, and the aggregator counts as lost
DRAIN_SECONDS: Final = 5.0  # to finish the work in hand
FAREWELL_SECONDS: Final = 1.0  # for the aggregator to close the stream after Leaving
_MOST_WINDOW: Final = 256
# gRPC's words when a write finds the stream over before its status has been read.
_WRITE_FAILED: Final = "Internal error from Core"
_SHORTEST_PING, _LONGEST_PING = 0.02, 60.0  # seconds

# Whether the other side lives is decided by its pings, so HTTP/2 keepalive stays off. A proxy meant for the
# web would break a cluster. Subchannels of its own let a channel try at once, not in gRPC's own back-off.
CHANNEL_OPTIONS: Final = (
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.max_send_message_length", 64 * 1024 * 1024),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
)


class ConnectionEnded(Exception):
    """The stream is over; str() says why.

    displaced: a device of the same id has joined after this one. turned_away: the aggregator does not take
    the device's certificate.
    """

    def __init__(self, reason: str, *, displaced: bool = False, turned_away: bool = False) -> None:
        super().__init__(one_line(reason))
        self.displaced = displaced
        self.turned_away = turned_away


class Connection:
    """Use once: `run()` until it raises ConnectionEnded or ProtocolMismatch.

    welcomed: set when the aggregator has answered the Hello.
    """

    def __init__(
        self,
        address: str,
        credentials: Credentials | None,
        hello: nonn_pb2.Hello,
        hosting: Hosting,
        executor: Executor,
        parallel: int,
    ) -> None:
        self.welcomed = asyncio.Event()
        self._address = address
        self._credentials = credentials
        self._hello = hello
        self._hosting = hosting
        self._worker = Worker(hosting, executor, parallel, self._send)
        self._writing = asyncio.Lock()
        self._pulse = Pulse()
        self._heard = time.monotonic()
        self._silence = CONNECT_SECONDS
        self._loading: asyncio.Task[None] | None = None

    async def run(self, stop: asyncio.Event, connect_seconds: float = CONNECT_SECONDS) -> None:
        """Serve until the stream ends; when `stop` is set, finish the work in hand and leave."""
        self._silence = connect_seconds
        ended: Exception | None = None
        async with self._open_channel() as channel:
            self._stub = nonn_pb2_grpc.ClusterStub(channel)
            self._call = self._stub.Join()
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    self._tasks.create_task(self._read())
                    self._tasks.create_task(self._watch())
                    self._tasks.create_task(self._worker.run())
                    self._tasks.create_task(self._leave_when(stop))
            except* (ConnectionEnded, ProtocolMismatch) as group:
                ended = group.exceptions[0]
            finally:
                self._call.cancel()
        if ended is not None:
            raise ended

    def _open_channel(self) -> Any:
        if self._credentials is None:
            return grpc.aio.insecure_channel(self._address, options=CHANNEL_OPTIONS)
        return grpc.aio.secure_channel(
            self._address, self._credentials.for_channel(), options=CHANNEL_OPTIONS
        )

    # ---- the two directions

    async def _send(self, message: nonn_pb2.DeviceMessage) -> None:
        """Returns once gRPC has taken it, which it does not while the aggregator does not read."""
        # A stream that has ended makes writing fail in one of these ways; the reader is told the reason.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            async with self._writing:
                await self._call.write(message)

    async def _read(self) -> None:
        await self._send(nonn_pb2.DeviceMessage(hello=self._hello))
        try:
            while (message := await self._call.read()) is not grpc.aio.EOF:
                received = self._pulse.received(message.sent_seconds)
                await self._handle(message, received)
                self._heard = time.monotonic()
        except DecodeError:
            raise ConnectionEnded("it sent something that is no message of this protocol") from None
        except grpc.aio.AioRpcError as error:
            raise _explain(error) from None
        raise ConnectionEnded("the aggregator closed the stream")

    async def _handle(self, message: nonn_pb2.AggregatorMessage, received: float) -> None:
        kind = message.WhichOneof("kind")
        if kind == "welcome":
            self._welcome(message.welcome)
        elif not self.welcomed.is_set():
            raise ConnectionEnded("it did not begin with a Welcome: is that a NoNN aggregator?")
        elif kind == "work":
            await self._worker.offer(message.work, received)
        elif kind == "ping":
            await self._send(nonn_pb2.DeviceMessage(pong=nonn_pb2.Pong(sequence=message.ping.sequence)))
        elif kind == "assignment":
            self._assign(message.assignment)
        elif kind == "drain":
            self._tasks.create_task(self._leave(message.drain.reason or "drained by the aggregator"))

    async def _watch(self) -> None:
        """End the stream when the aggregator is silent for too long."""
        while True:
            await asyncio.sleep(min(BEAT_SECONDS, self._silence / 2))
            now = time.monotonic()
            if self._pulse.beat():
                self._heard = now  # what it said meanwhile has yet to be read
            elif now - self._heard > self._silence:
                raise ConnectionEnded(f"not a word from it for {self._silence:g} s")

    def _welcome(self, welcome: nonn_pb2.Welcome) -> None:
        if welcome.protocol_version != PROTOCOL_VERSION:
            raise _mismatch(f"it speaks version {welcome.protocol_version}")
        self._silence = longest_silence(welcome.ping_seconds)
        self._worker.window = min(max(welcome.window, 1), _MOST_WINDOW)
        self._worker.takes_partials = welcome.takes_partials
        self.welcomed.set()

    def _assign(self, assignment: nonn_pb2.Assignment) -> None:
        overtaken = self._hosting.assign(assignment)
        if self._loading is not None and not self._loading.done():
            if not overtaken:  # what is half fetched is not fetched again
                return
            self._loading.cancel()
        self._loading = self._tasks.create_task(self._load())

    async def _load(self) -> None:
        while (assigned := self._hosting.next_due()) is not None:
            ready = await self._hosting.make_ready(assigned, self._stub)
            await self._send(nonn_pb2.DeviceMessage(ready=ready))

    # ---- the end

    async def _leave_when(self, stop: asyncio.Event) -> None:
        await stop.wait()
        await self._leave("the device was stopped")

    async def _leave(self, reason: str) -> None:
        if not self._worker.accepting:
            return
        self._worker.accepting = False
        if self.welcomed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_SECONDS):
                    await self._worker.finished()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._send(nonn_pb2.DeviceMessage(leaving=nonn_pb2.Leaving(reason=reason)))
                    await self._call.done_writing()
                    await self._call.code()  # the reader sees the end as well, and may be first to say so
        raise ConnectionEnded(reason)


def longest_silence(ping_seconds: float) -> float:
    """Seconds without a message until an aggregator that pings so often counts as lost."""
    period = ping_seconds if ping_seconds > 0 else _LONGEST_PING  # 0 and NaN are no period
    return SILENT_PINGS * min(max(period, _SHORTEST_PING), _LONGEST_PING)


def _explain(error: grpc.aio.AioRpcError) -> Exception:
    details = error.details() or ""
    if error.code() is grpc.StatusCode.ABORTED:
        return ConnectionEnded(details, displaced=True)
    if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return ConnectionEnded(details, turned_away=True)
    if error.code() is grpc.StatusCode.FAILED_PRECONDITION and "version" in details:
        return _mismatch(details)
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        return ConnectionEnded(details.rpartition(": ")[2].rstrip("]") or "the connection broke")
    if details == _WRITE_FAILED:
        return ConnectionEnded("the connection broke")
    return ConnectionEnded(f"{error.code().name}: {details}")


def _mismatch(details: str) -> ProtocolMismatch:
    return ProtocolMismatch(
        f"this device speaks protocol version {PROTOCOL_VERSION}, the aggregator does not "
        f"({one_line(details)}): "
        "install the same version of nonn on both"
    )
