"""The proxy itself: connections in, connections out, and what happens to the bytes between."""

import asyncio
import contextlib
import socket
import struct
from random import Random
from types import TracebackType
from typing import Any, Final, Literal, Self

from fault_lab.proxy.pace import Chunk, Pace
from fault_lab.proxy.toxics import CLEAN, Toxics
from protos import endpoints

Direction = Literal["upstream", "downstream"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("upstream", "downstream")

CHUNK: Final = 16 * 1024
# Bytes of one direction of one connection that are under way: beyond that the sender has to wait.
UNDER_WAY: Final = 1024 * 1024
DIAL_SECONDS: Final = 5.0
_RESET: Final = struct.pack("ii", 1, 0)  # of SO_LINGER: closing sends RST


class Proxy:
    """Listens, and passes on every connection to `upstream`, the better or the worse.

        async with Proxy("127.0.0.1:7560", seed=1) as proxy:
            connect_to(proxy.address)
            proxy.set(Toxics(latency=0.1), "downstream")

    upstream: HOST:PORT; the bytes from whoever connects to it go `upstream`, those back `downstream`.
    Changes count for bytes that are sent from then on, and another bandwidth for those that wait for it as
    well. Belongs to one event loop.
    """

    def __init__(self, upstream: str, *, listen: str = "127.0.0.1:0", seed: int = 0) -> None:
        """Raises ValueError for an address that is none."""
        self._upstream = endpoints.split(upstream)
        self._listen = endpoints.split(listen)
        self._random = Random(f"nonn proxy {seed}")
        self._toxics: dict[Direction, Toxics] = dict.fromkeys(DIRECTIONS, CLEAN)
        self._changed = asyncio.Event()
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._enabled = True

    @property
    def address(self) -> str:
        """HOST:PORT, once it listens."""
        host, port, *_ = self._server.sockets[0].getsockname()
        return f"{host}:{port}"

    @property
    def connections(self) -> int:
        return len(self._connections)

    def toxics(self, direction: Direction) -> Toxics:
        return self._toxics[direction]

    def set(self, toxics: Toxics, *directions: Direction) -> None:
        """For these directions, or for both if none is named."""
        for direction in directions or DIRECTIONS:
            self._toxics[direction] = toxics
            for connection in self._connections:
                connection.pace(direction)
        self._changed.set()
        self._changed = asyncio.Event()

    def reset_peer(self) -> None:
        """End every connection at once: both sides get a TCP reset. New ones are taken."""
        for connection in list(self._connections):
            connection.reset()

    def disable(self) -> None:
        """As if nothing listened: ends every connection, and each new one at once, until `enable`."""
        self._enabled = False
        self.reset_peer()

    def enable(self) -> None:
        self._enabled = True

    async def changed(self) -> None:
        """Until somebody calls `set`."""
        await self._changed.wait()

    async def __aenter__(self) -> Self:
        """Raises OSError when the address cannot be had."""
        self._server = await asyncio.start_server(self._take, *self._listen)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.reset_peer()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        orderly = False
        try:
            orderly = self._enabled and await self._pass_on(reader, writer)
        finally:
            _end(writer, orderly=orderly)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Returns whether both directions have ended in good order."""
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                far_reader, far_writer = await asyncio.open_connection(*self._upstream)
        except (OSError, TimeoutError):
            return False
        connection = _Connection(self, (reader, writer), (far_reader, far_writer), self._random.random())
        self._connections.add(connection)
        orderly = False
        try:
            orderly = await connection.run()
        finally:
            self._connections.discard(connection)
            _end(far_writer, orderly=orderly)
        return orderly


class _Connection:
    """Both directions of one connection. It is over when both have ended in good order, or one has broken."""

    def __init__(
        self,
        proxy: Proxy,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        seed: float,
    ) -> None:
        self._ways = {
            "upstream": _Way(proxy, "upstream", near[0], far[1], Random(seed)),
            "downstream": _Way(proxy, "downstream", far[0], near[1], Random(1.0 - seed)),
        }
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def reset(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def pace(self, direction: Direction) -> None:
        """As fast as the proxy has it from now on."""
        self._ways[direction].pace()

    async def run(self) -> bool:
        """Returns whether both directions have ended in good order."""
        ways = self._ways.values()
        tasks = [asyncio.create_task(step) for way in ways for step in (way.receive(), way.deliver())]
        whole = asyncio.gather(*tasks)
        ends: set[asyncio.Future[Any]] = {whole, self._over}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            return whole.done() and whole.exception() is None  # else a side broke off: tell the other
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, whole, return_exceptions=True)


class _Way:
    """One direction: what is read waits until it is due, and is written then."""

    def __init__(
        self,
        proxy: Proxy,
        direction: Direction,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        random: Random,
    ) -> None:
        self._proxy = proxy
        self._direction: Direction = direction
        self._reader = reader
        self._writer = writer
        self._pace = Pace(random)
        self._chunks: asyncio.Queue[Chunk] = asyncio.Queue(UNDER_WAY // CHUNK)
        self._now = asyncio.get_running_loop().time

    def pace(self) -> None:
        self._pace.change(self._now(), self._proxy.toxics(self._direction).bandwidth)

    async def receive(self) -> None:
        while data := await self._reader.read(CHUNK):
            await self._put(data)
        await self._put(b"")  # the end travels as bytes do

    async def _put(self, data: bytes) -> None:
        await self._chunks.put(self._pace.send(self._now(), data, self._proxy.toxics(self._direction)))

    async def deliver(self) -> None:
        while True:
            chunk = await self._chunks.get()
            await self._until_due(chunk)
            while self._proxy.toxics(self._direction).timeout:
                await self._proxy.changed()
            if not chunk.data:
                self._writer.write_eof()
                return
            self._writer.write(chunk.data)
            await self._writer.drain()

    async def _until_due(self, chunk: Chunk) -> None:
        """Which another bandwidth changes."""
        while (left := chunk.due - self._now()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._proxy.changed()


def _end(writer: asyncio.StreamWriter, *, orderly: bool) -> None:
    if orderly:
        writer.close()
        return
    own = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()
