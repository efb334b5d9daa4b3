"""An aggregator with any number of devices of one student each, and the bare fan-out of the same shape."""

import math
import tempfile
import time
from dataclasses import dataclass

import grpc
import numpy as np

from aggregator import Model, wire
from aggregator.effects import Answer, SendWork
from benchmarks import common, echo
from bundle import Bundle
from protos import nonn_pb2, nonn_pb2_grpc, tensors

DEVICE_PROCESSES = 8
PREDICT = "/nonn.v1.Inference/Predict"
OPTIONS = ("--heal-after", "never", "--max-batch", "1", "--window", "4")
START_SECONDS = 120.0


@dataclass(frozen=True)
class Sizes:
    """Bytes of each message of ours; the bare fan-out's are as long."""

    request: int
    work: int
    reply: int
    answer: int


@dataclass(frozen=True)
class Side:
    """One of the two that are compared. pid: of its aggregator."""

    name: str
    pid: int
    address: str
    method: str
    request: bytes


def request_of(bundle: Bundle, images: int = 1) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (images, *bundle.manifest.input.shape), np.uint8)
    return nonn_pb2.PredictRequest(images=tensors.encode(pixels)).SerializeToString()


def sizes(bundle: Bundle, images: int = 1, numbers: int | None = None) -> Sizes:
    """Of requests of so many images. numbers: of a device's answer for each; else one a class."""
    manifest = bundle.manifest
    pixels = np.zeros((images, *manifest.input.shape), np.uint8)
    logits = np.ones((images, numbers or manifest.classes), np.float32)
    partial = nonn_pb2.Partial(
        bundle_id=manifest.id,
        work_id=1000,
        student=1,
        logits=tensors.encode(logits),
        queue_seconds=1.0,
        compute_seconds=1.0,
    )
    return Sizes(
        request=len(request_of(bundle, images)),
        work=len(wire.work(SendWork((), 1000, manifest.id, 1.0, pixels), 1.0)),
        reply=len(nonn_pb2.DeviceMessage(partial=partial).SerializeToString()),
        answer=len(wire.answer(Answer(0, manifest.id, logits, tuple(range(8)), (), 1.0))),
    )


def start_bare(children: common.Children, fan_out: int, bundle: Bundle, engine: str = "") -> Side:
    """engine: what GRPC_EXPERIMENTS is to be for the aggregator; else gRPC's own choice."""
    size = sizes(bundle)
    environment = {"GRPC_EXPERIMENTS": engine} if engine else {}
    aggregator = children.start(
        "benchmarks.echo", "aggregator", "--answer", size.answer, "--work", size.work, **environment
    )
    address = common.first_line(aggregator, "listening on ")
    for streams in shares(fan_out):
        devices = children.start(
            "benchmarks.echo", "devices", address, "--streams", streams, "--reply", size.reply
        )
        for _ in range(streams):
            common.first_line(devices, "joined")
    return Side("bare", aggregator.pid, address, echo.PREDICT, bytes(size.request))


def start_ours(children: common.Children, fan_out: int, bundle: Bundle, real: bool) -> Side:
    aggregator = children.start(
        "nonn", "aggregator", "--bundle", bundle.path, "--listen", "127.0.0.1:0", *OPTIONS
    )
    address = common.first_line(aggregator, "listening on ")
    room = room_for_one(bundle)
    if real:
        state = children.enter_context(tempfile.TemporaryDirectory())
        for index in range(fan_out):
            arguments = ("--aggregator", address, "--name", f"device-{index}", "--memory", room)
            children.start("nonn", "device", *arguments, XDG_STATE_HOME=state)
    else:
        for streams in shares(fan_out):
            children.start("benchmarks.light_devices", address, "--streams", streams, "--memory", room)
    wait_until_serving(address, fan_out)
    return Side("nonn", aggregator.pid, address, PREDICT, request_of(bundle))


def room_for_one(bundle: Bundle) -> int:
    """Megabytes that are enough for one student, not for two."""
    return math.ceil(1.5e-6 * min(student.memory_bytes for student in Model.of(bundle).students))


def shares(fan_out: int) -> list[int]:
    """So many streams in each device process."""
    processes = min(fan_out, DEVICE_PROCESSES)
    return [fan_out // processes] * processes


def wait_until_serving(address: str, devices: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    with grpc.insecure_channel(address) as channel:
        stub = nonn_pb2_grpc.InferenceStub(channel)
        while time.monotonic() < deadline:
            status = stub.Status(nonn_pb2.StatusRequest(), timeout=10)
            serving = [len(device.serving) for device in status.devices]
            if serving == [1] * devices:
                return
            time.sleep(0.1)
    raise TimeoutError(f"not {devices} devices with one student each, but {serving}")
