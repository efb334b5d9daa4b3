"""`nonn aggregator` as a process: what it prints, and how it ends."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from aggregator import Settings
from bundle import Bundle
from nonn.cli import build_parser
from nonn.commands import aggregator as command
from protos import PROTOCOL_VERSION, nonn_pb2, nonn_pb2_grpc

PATIENT = 30.0
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(bundle: Bundle) -> Iterator[Start]:
    """Start `nonn aggregator`; whatever still runs after the test is ended."""
    processes: list[subprocess.Popen[str]] = []

    def run(*arguments: str, folder: Path = bundle.path) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "nonn", "aggregator", "--bundle", str(folder), *arguments]
        pipe: Any = subprocess.PIPE
        processes.append(subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True, env=dict(os.environ)))
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.communicate(timeout=PATIENT)


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on (127\.0\.0\.1:\d+)\n", line)
    assert found, line
    return found[1]


def failure(process: subprocess.Popen[str]) -> str:
    """The one line on stderr of a process that refuses to start."""
    out, err = process.communicate(timeout=PATIENT)
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("nonn: ")
    return err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop(start: Start, number: signal.Signals) -> None:
    process = start("--listen", "127.0.0.1:0", "--heal-after", "never")
    with grpc.insecure_channel(address(process)) as channel:
        hello = nonn_pb2.Hello(device_id="d", name="shed", protocol_version=PROTOCOL_VERSION)
        join = nonn_pb2_grpc.ClusterStub(channel).Join(iter([nonn_pb2.DeviceMessage(hello=hello)]))
        assert next(join).WhichOneof("kind") == "welcome"
        status = nonn_pb2_grpc.InferenceStub(channel).Status(nonn_pb2.StatusRequest(), timeout=PATIENT)
        assert (status.bundle_name, len(status.students)) == ("toy", 4)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENT)
    assert process.returncode == 0, err
    assert out == ""
    assert "shed joined" in err
    assert "Traceback" not in err


def test_a_port_in_use_ends_with_9(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        assert "in use" in failure(process)
        assert process.returncode == 9


def test_two_aggregators_do_not_share_a_port(start: Start) -> None:
    second = start("--listen", address(start("--listen", "127.0.0.1:0")))
    assert "in use" in failure(second)
    assert second.returncode == 9


def test_an_open_port_must_be_asked_for(start: Start) -> None:
    process = start("--listen", "0.0.0.0:0")
    assert "--insecure" in failure(process)
    assert process.returncode == 2


def test_a_bundle_that_is_none_ends_with_6(start: Start, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    process = start("--listen", "127.0.0.1:0", folder=tmp_path)
    assert "manifest.json" in failure(process)
    assert process.returncode == 6


def test_the_flags_defaults_are_the_settings_defaults() -> None:
    args = build_parser(["aggregator"]).parse_args(["aggregator", "--bundle", "x"])
    assert command.settings(args) == Settings()
    args = build_parser(["aggregator"]).parse_args(["aggregator", "--bundle", "x", "--heal-after", "never"])
    assert command.settings(args).heal is None


def test_heal_after_is_a_number_or_never(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build_parser(["aggregator"]).parse_args(["aggregator", "--bundle", "x", "--heal-after", "soon"])
    assert caught.value.code == 2
    assert "never" in capsys.readouterr().err
