"""A real aggregator and devices on an event loop in this process, and an aggregator that says anything."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from aggregator.server import Aggregator
from bundle import Bundle
from device_node import DeviceNode, DeviceSettings, open_state
from protos import nonn_pb2, nonn_pb2_grpc

WAIT = 60.0  # seconds until something that has to happen is called broken


@dataclass
class Served:
    """Callable from any thread."""

    address: str
    _loop: asyncio.AbstractEventLoop
    _stop_devices: Callable[[], Any]

    def stop_devices(self) -> None:
        """Returns when all devices have left."""
        asyncio.run_coroutine_threadsafe(self._stop_devices(), self._loop).result(WAIT)


@contextmanager
def served(bundle: Bundle, folder: Path, devices: int) -> Iterator[Served]:
    """Every student is served on entering."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    stop = asyncio.Event()
    ready: asyncio.Queue[Served] = asyncio.Queue()
    main = asyncio.run_coroutine_threadsafe(_serve(bundle, folder, devices, ready, stop), loop)
    try:
        started = asyncio.run_coroutine_threadsafe(_first(ready, main), loop)
        yield started.result(WAIT)
    finally:
        loop.call_soon_threadsafe(stop.set)
        main.result(WAIT)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _first(ready: "asyncio.Queue[Served]", main: Any) -> Served:
    getting = asyncio.ensure_future(ready.get())
    await asyncio.wait([getting, asyncio.wrap_future(main)], return_when=asyncio.FIRST_COMPLETED)
    if not getting.done():
        main.result()
    return await getting


async def _serve(
    bundle: Bundle, folder: Path, devices: int, ready: "asyncio.Queue[Served]", stop: asyncio.Event
) -> None:
    async with Aggregator(bundle, listen="127.0.0.1:0") as aggregator:
        settings = [
            DeviceSettings(aggregator.address, name=f"device-{index}", state=folder / str(index))
            for index in range(devices)
        ]
        states = [open_state(one) for one in settings]
        nodes = [DeviceNode(*pair) for pair in zip(settings, states, strict=True)]
        running = [asyncio.create_task(node.run()) for node in nodes]

        async def stop_devices() -> None:
            for node in nodes:
                node.stop()
            await asyncio.gather(*running)

        async with asyncio.timeout(WAIT):
            await _covered(aggregator.address)
        await ready.put(Served(aggregator.address, asyncio.get_running_loop(), stop_devices))
        await stop.wait()
        await stop_devices()
        for state in states:
            state.close()


async def _covered(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = nonn_pb2_grpc.InferenceStub(channel)
        while not all(one.device_ids for one in (await stub.Status(nonn_pb2.StatusRequest())).students):
            await asyncio.sleep(0.02)


class Scripted(nonn_pb2_grpc.InferenceServicer):
    """Answers as the test's functions say; `asked` counts the calls of each method."""

    def __init__(self) -> None:
        self.status: Callable[[], nonn_pb2.StatusResponse] = nonn_pb2.StatusResponse
        self.predict: Callable[[Any, grpc.ServicerContext], nonn_pb2.PredictResponse]
        self.asked = {"Predict": 0, "Status": 0}
        self._server = grpc.server(ThreadPoolExecutor(4))
        nonn_pb2_grpc.add_InferenceServicer_to_server(self, self._server)
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def close(self) -> None:
        self._server.stop(grace=None).wait()

    def Predict(self, request: Any, context: grpc.ServicerContext) -> nonn_pb2.PredictResponse:
        self.asked["Predict"] += 1
        return self.predict(request, context)

    def Status(self, request: Any, context: grpc.ServicerContext) -> nonn_pb2.StatusResponse:
        self.asked["Status"] += 1
        return self.status()
