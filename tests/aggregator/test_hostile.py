"""Peers that do their worst, while others are served as if nothing were."""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from bundle import Bundle
from protos import nonn_pb2, nonn_pb2_grpc
from tests.aggregator.scripted import PATIENT, Device, dial, end, images, request, run, until
from tests.authority import Certificates

pytestmark = pytest.mark.slow

SECONDS = 3.0  # of each attack
MEGABYTES = 200  # that the aggregator may grow by
MEDIAN = 1.0  # seconds: half of a request's usual deadline, on a machine that the attack has nearly to itself


@dataclass
class Besieged:
    """An aggregator that is a process of its own, four honest devices, and an honest client."""

    address: str
    process: psutil.Process
    client: nonn_pb2_grpc.InferenceStub
    lives: list["asyncio.Task[None]"]

    @property
    def megabytes(self) -> float:
        return float(self.process.memory_info().rss / 2**20)

    async def ask(self, enough: Callable[[list[float]], bool]) -> list[float]:
        """One whole answer after another, and how long each took. A refusal ends the test."""
        seconds: list[float] = []
        while not enough(seconds):
            started = time.monotonic()
            answer = await self.client.Predict(request(images(), strict=True), timeout=PATIENT)
            assert not answer.degraded
            seconds.append(time.monotonic() - started)
        return seconds


@asynccontextmanager
async def besieged(bundle: Bundle, certificates: Certificates, *, tls: bool) -> AsyncIterator[Besieged]:
    command = [sys.executable, "-m", "nonn", "aggregator", "--bundle", str(bundle.path)]
    command += ["--listen", "127.0.0.1:0", "--heal-after", "never"]
    folders = [certificates.device(f"d{number}") for number in range(4)] + [certificates.client("honest")]
    if tls:
        command += ["--tls", str(certificates.folder / "aggregator")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        lives: list[asyncio.Task[None]] = []
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[-1]
            *devices, client = [dial(address, folder if tls else None) for folder in folders]
            for number, channel in enumerate(devices):
                device = Device(channel, f"d{number}")
                await device.join()
                lives.append(asyncio.create_task(device.live()))
            stub = nonn_pb2_grpc.InferenceStub(client)

            async def served() -> bool:
                status = await stub.Status(nonn_pb2.StatusRequest())
                return all(student.device_ids for student in status.students)

            await until(served)
            yield Besieged(address, psutil.Process(process.pid), stub, lives)
        finally:
            process.kill()
            for life in lives:
                await end(life)


@asynccontextmanager
async def attack(name: str, address: str, folder: Path | None) -> AsyncIterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.aggregator.attacks", name, address, *filter(None, [folder])]
    pipe: Any = subprocess.PIPE
    environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        try:
            assert await asyncio.to_thread(process.stdout.readline) == "attacking\n"
            yield process
        finally:
            process.kill()


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path / "certs")
    made.aggregator()
    return made


def twenty(seconds: list[float]) -> bool:
    return len(seconds) >= 20


def endure(bundle: Bundle, certificates: Certificates, name: str, enemy: Path | None) -> None:
    async def test() -> None:
        async with besieged(bundle, certificates, tls=enemy is not None) as cluster:
            await cluster.ask(twenty)
            before = cluster.megabytes
            async with attack(name, cluster.address, enemy) as process:
                over = time.monotonic() + SECONDS
                during = await cluster.ask(lambda _: time.monotonic() > over)
                grown = cluster.megabytes - before
                assert process.poll() is None, process.stderr and process.stderr.read()
            await cluster.ask(twenty)
            assert not any(life.done() for life in cluster.lives)
        assert statistics.median(during) < MEDIAN
        assert grown < MEGABYTES

    run(test)


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("garbage", "device"),
        ("chatter", "device"),
        ("huge_partials", "device"),
        ("joins", "device"),
        ("fetches", "device"),
        ("streams", "device"),
        ("deaf", "device"),
        ("silence", "device"),
        ("streams", "client"),
        ("requests", "client"),
        ("resets", "client"),
        ("large_requests", "client"),
        ("giants", "client"),
        ("deaf", "client"),
        ("strangers", "client"),
    ],
)
def test_with_certificates(bundle: Bundle, certificates: Certificates, name: str, role: str) -> None:
    endure(bundle, certificates, name, getattr(certificates, role)("enemy"))


@pytest.mark.parametrize(
    "name",
    ["garbage", "chatter", "huge_partials", "joins", "fetches", "streams", "giants", "deaf", "silence"],
)
def test_in_plain_text(bundle: Bundle, certificates: Certificates, name: str) -> None:
    endure(bundle, certificates, name, None)
