"""`nonn device` as a process: signals, exit codes, and what it says."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from device_node.pulse import BEAT_SECONDS, STALL_SECONDS
from protos import PROTOCOL_VERSION, nonn_pb2
from tests.device_node.graphs import make_student, some_images
from tests.device_node.scripted import WAIT, ScriptedAggregator

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(aggregator: ScriptedAggregator, tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def run(*options: str, path: str = "") -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "nonn", "device", "--aggregator", aggregator.address]
        command += ["--state", str(tmp_path / "state"), *options]
        environment = os.environ | {"PYTHONPATH": f"{path}:{os.environ.get('PYTHONPATH', '')}"}
        processes.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_signal_ends_it_in_good_order(
    aggregator: ScriptedAggregator, start: Start, number: signal.Signals, loop: str, tmp_path: Path
) -> None:
    if loop == "asyncio":
        (tmp_path / "uvloop.py").write_text("raise ImportError('not installed')")
    slow = make_student(
        0, busy=1
    )  # enough to be in hand for a moment; within DRAIN_SECONDS on a busy machine
    aggregator.offer(slow)
    process = start("--name", "kitchen", path=str(tmp_path))
    peer = aggregator.accept()
    assert peer.serve(slow)[0].self_test_passed
    peer.work(some_images(1), number=1)
    peer.work(some_images(1), number=2)
    assert peer.expect("partial").work_id == 1
    process.send_signal(number)
    kinds = []
    while not kinds or kinds[-1] != "leaving":
        kinds.append(peer.next().WhichOneof("kind"))
    assert kinds in (["partial", "leaving"], ["refusal", "leaving"])
    peer.close()
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 0
    said = re.sub(r"[\d.e+]+ ms", "... ms", said)
    assert [line.split(" ", 1)[1] for line in said.splitlines()] == [
        f"device kitchen joins the aggregator at {aggregator.address}",
        f"device kitchen ({peer.hello.device_id[:8]}) joined",
        f"serving student 0 of bundle {'b' * 12} in fp32, ... ms an image",
        "device kitchen has left",
    ]


def test_an_ended_stream_leaves_no_socket_behind(aggregator: ScriptedAggregator, start: Start) -> None:
    process = start()
    for _ in range(3):
        peer = aggregator.accept()
        peer.serve()
        peer.abort(grpc.StatusCode.UNAVAILABLE, "restarted")
    aggregator.accept().serve()
    device, deadline = psutil.Process(process.pid), time.monotonic() + WAIT
    while len(device.net_connections()) > 1:  # gRPC closes them in its own time
        assert time.monotonic() < deadline, device.net_connections()


def test_another_protocol_version_is_code_12(aggregator: ScriptedAggregator, start: Start) -> None:
    process = start()
    aggregator.accept().abort(grpc.StatusCode.FAILED_PRECONDITION, "protocol version 1 is too old")
    _, said = process.communicate(timeout=WAIT)
    assert process.returncode == 12
    assert said.splitlines()[-1].startswith(f"nonn: this device speaks protocol version {PROTOCOL_VERSION}")
    assert "Traceback" not in said


def test_another_running_device_is_code_8(aggregator: ScriptedAggregator, start: Start) -> None:
    start()
    aggregator.accept()
    second = start()
    _, said = second.communicate(timeout=WAIT)
    assert second.returncode == 8
    assert said.count("\n") == 1
    assert "another running device" in said


def test_a_second_signal_ends_it_at_once(aggregator: ScriptedAggregator, start: Start) -> None:
    slow = make_student(0, busy=2)
    aggregator.offer(slow)
    process = start()
    peer = aggregator.accept()
    peer.serve(slow, window=1)
    for number in range(3):  # one is computed, one waits, one is refused
        peer.work(some_images(20_000), number=number, budget=1e6)  # minutes
    refusal = peer.expect("refusal")
    process.send_signal(signal.SIGTERM)
    while "leaving" not in refusal.reason:
        peer.work(some_images(1), number=9)
        refusal = peer.expect("refusal")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=WAIT)
    assert process.returncode == -signal.SIGTERM


def test_works_that_piled_up_while_it_was_stopped_are_stale(
    aggregator: ScriptedAggregator, start: Start
) -> None:
    student = make_student(0)
    aggregator.offer(student)
    process = start()
    peer = aggregator.accept()
    peer.serve(student)
    process.send_signal(signal.SIGSTOP)
    peer.work(some_images(1), number=1, budget=STALL_SECONDS)
    time.sleep(STALL_SECONDS + BEAT_SECONDS)
    process.send_signal(signal.SIGCONT)
    assert peer.expect("refusal").code == nonn_pb2.BUDGET_PASSED
    answered = ""
    while answered != "partial":  # and what comes later is not
        peer.work(some_images(1), number=2, budget=STALL_SECONDS)
        answered = peer.next().WhichOneof("kind") or ""
