"""An aggregator that says what a test tells it to, and a device that runs beside the test."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from numpy.typing import NDArray

from device_node import DeviceNode, DeviceSettings, open_state
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc, tensors
from protos.credentials import Credentials
from tests.device_node.graphs import BUNDLE, StudentFile

WAIT = 30.0  # seconds until a test that waits for something is called broken


class Peer:
    """One device's stream, seen from the aggregator. patience: seconds that it may take to say something."""

    def __init__(self, patience: float = WAIT) -> None:
        self._patience = patience
        self.hello = nonn_pb2.Hello()
        self.ended = threading.Event()  # the device is gone
        self._received: queue.Queue[nonn_pb2.DeviceMessage] = queue.Queue()
        self._to_send: queue.Queue[nonn_pb2.AggregatorMessage | tuple[grpc.StatusCode, str] | None] = (
            queue.Queue()
        )

    def send(self, **kind: Any) -> None:
        self.forward(nonn_pb2.AggregatorMessage(**kind))

    def forward(self, message: nonn_pb2.AggregatorMessage) -> None:
        self._to_send.put(message)

    def close(self) -> None:
        self._to_send.put(None)

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        self._to_send.put((code, details))

    def next(self) -> nonn_pb2.DeviceMessage:
        return self._received.get(timeout=self._patience)

    def expect(self, kind: str) -> Any:
        """The next message, which has to be of this kind."""
        message = self.next()
        assert message.WhichOneof("kind") == kind, message
        return getattr(message, kind)

    def serve(self, *students: StudentFile, bundle: str = BUNDLE, **welcome: Any) -> list[nonn_pb2.Ready]:
        """Welcome the device, assign the students, and wait for its word on each."""
        self.send(
            welcome=nonn_pb2.Welcome(
                **{"protocol_version": PROTOCOL_VERSION, "ping_seconds": 60.0, "window": 2} | welcome
            )
        )
        return self.assign(*(student.assigned(bundle=bundle) for student in students))

    def assign(self, *students: nonn_pb2.AssignedStudent) -> list[nonn_pb2.Ready]:
        self.send(assignment=nonn_pb2.Assignment(students=students))
        return [self.expect("ready") for _ in students]

    def work(self, images: NDArray[Any], number: int = 1, budget: float = WAIT, bundle: str = BUNDLE) -> None:
        tensor = tensors.encode(images)
        self.send(work=nonn_pb2.Work(bundle_id=bundle, work_id=number, budget_seconds=budget, images=tensor))

    def run(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        reader = threading.Thread(target=self._read, args=(requests,), daemon=True)
        reader.start()
        while (item := self._to_send.get()) is not None:
            if isinstance(item, tuple):
                context.abort(*item)
            yield item

    def _read(self, requests: Iterator[Any]) -> None:
        try:
            for message in requests:
                self._received.put(message)
        except grpc.RpcError:
            pass
        finally:
            self.ended.set()
            self._to_send.put(None)


class Gate:
    """Where a fetch waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()


class ScriptedAggregator(nonn_pb2_grpc.ClusterServicer):
    """Says exactly what the test tells it to, over real gRPC; with the certificates in a folder, over TLS."""

    def __init__(self, tls: Path | None = None, patience: float = WAIT) -> None:
        self._patience = patience
        self.files: dict[str, list[bytes]] = {}  # digest -> the chunks that are sent for it
        self.fetched: list[str] = []
        self._gates: dict[str, Gate] = {}
        self._peers: queue.Queue[Peer] = queue.Queue()
        self._all: list[Peer] = []
        self._server = grpc.server(ThreadPoolExecutor(16))
        nonn_pb2_grpc.add_ClusterServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._listen(tls)}"
        self._server.start()

    def _listen(self, tls: Path | None) -> int:
        if tls is None:
            return int(self._server.add_insecure_port("127.0.0.1:0"))
        own = Credentials.load(tls)
        credentials = grpc.ssl_server_credentials([(own.key, own.certificate)], own.authority, True)
        return int(self._server.add_secure_port("127.0.0.1:0", credentials))

    def offer(self, *students: StudentFile) -> None:
        for student in students:
            self.offer_model(student.digest, student.model)

    def offer_model(self, digest: str, model: bytes) -> None:
        half = len(model) // 2
        self.files[digest] = [model[:half], model[half:]]

    def stall(self, digest: str) -> Gate:
        """Fetching this digest waits at the gate."""
        self._gates[digest] = Gate()
        return self._gates[digest]

    def accept(self) -> Peer:
        """The next device that joins."""
        return self._peers.get(timeout=self._patience)

    def close(self) -> None:
        for peer in self._all:
            peer.close()
        self._server.stop(grace=1.0).wait()

    def Join(self, request_iterator: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
        peer = Peer(self._patience)
        peer.hello = next(request_iterator).hello
        self._all.append(peer)
        messages = peer.run(request_iterator, context)
        context.add_callback(peer.close)
        self._peers.put(peer)
        return messages

    def FetchStudent(self, request: Any, context: grpc.ServicerContext) -> Iterator[nonn_pb2.Chunk]:
        self.fetched.append(request.sha256)
        if request.sha256 not in self.files:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such student")
        if gate := self._gates.get(request.sha256):
            gate.reached.set()
            gate.release.wait(WAIT)
        for chunk in self.files[request.sha256]:
            yield nonn_pb2.Chunk(data=chunk)


@dataclass
class RunningDevice:
    """A DeviceNode on an event loop in a thread of its own."""

    settings: DeviceSettings
    error: BaseException | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _node: DeviceNode | None = None
    _started: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._started.wait(WAIT)

    def stop(self) -> None:
        """Ask it to leave, without waiting."""
        if self._loop is not None and self._node is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._node.stop)

    def join(self) -> BaseException | None:
        """Wait for its end; the error that ended it."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        return self.error

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self.error = error
        finally:
            self._started.set()

    async def _main(self) -> None:
        with open_state(self.settings) as state:
            self._node, self._loop = DeviceNode(self.settings, state), asyncio.get_running_loop()
            self._started.set()
            await self._node.run()
