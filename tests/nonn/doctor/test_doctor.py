"""`nonn doctor` with real children: libraries that crash, aggregators of every kind, real certificates."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aggregator import Aggregator
from bundle import Bundle
from nonn.cli import main
from nonn.doctor.examination import call_aggregator, try_runtime
from nonn.system import System
from tests.authority import LONG_AGO, SOON, Certificates
from tests.nonn.serving import WAIT, Scripted, Served

Captured = pytest.CaptureFixture[str]


def findings(capsys: Captured, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    code = main(["doctor", "--json", *map(str, arguments)])
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    return code, {each["kind"]: each for each in document["findings"]}


@pytest.fixture
def onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that children import instead of ONNX Runtime."""
    module = tmp_path / "shadow" / "onnxruntime.py"
    module.parent.mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{module.parent}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return module


@contextmanager
def secured(bundle: Bundle, tls: Path) -> Iterator[str]:
    """The address of an aggregator with TLS, on an event loop in a thread of its own."""
    loop, addresses = asyncio.new_event_loop(), asyncio.Queue[str]()
    stop = asyncio.Event()

    async def serve() -> None:
        async with Aggregator(bundle, listen="127.0.0.1:0", tls=tls) as aggregator:
            await addresses.put(aggregator.address)
            await stop.wait()

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        serving = asyncio.run_coroutine_threadsafe(serve(), loop)
        yield asyncio.run_coroutine_threadsafe(addresses.get(), loop).result(WAIT)
        loop.call_soon_threadsafe(stop.set)
        serving.result(WAIT)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_a_sound_device(cluster: Served, bundle: Bundle, tmp_path: Path, capsys: Captured) -> None:
    where = ["--aggregator", cluster.address, "--bundle", bundle.path, "--state", tmp_path / "state"]
    code, found = findings(capsys, *where)
    assert code in (0, 36), "the heat of this machine is its own"
    assert "passes the self-test of 8 students" in found["runtime"]["text"]
    assert ": 0 ms" not in found["runtime"]["text"]
    assert "8 of 8 fit at once" in found["memory"]["text"]
    assert "0.0 s from the aggregator's" in found["clock"]["text"]
    assert "Mbit/s" in found["network"]["text"]
    assert not (tmp_path / "state").exists(), "it changes nothing"


def test_lines_for_people(capsys: Captured, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert main(["doctor", "--state", str(tmp_path / "file")]) == 35
    lines = capsys.readouterr().out.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("problem")]
    assert "cannot be written" in lines[at]
    assert lines[at + 1].lstrip().startswith("-> name a folder")


@pytest.mark.parametrize("number", [signal.SIGILL, signal.SIGSEGV])
def test_a_library_that_crashes_does_not_take_the_doctor_down(
    number: signal.Signals, onnxruntime: Path, bundle: Bundle, capsys: Captured
) -> None:
    onnxruntime.write_text(f"import os\nos.kill(os.getpid(), {number})\n")
    code, found = findings(capsys, "--bundle", bundle.path)
    assert (code, found["runtime"]["verdict"]) == (33, "problem")
    assert f"died of {number.name}" in found["runtime"]["text"]
    assert "onnxruntime!=" in found["runtime"]["fix"]
    assert found["memory"]["verdict"] == "ok", "what the child had said before counts"


def test_a_library_that_hangs_is_not_waited_for(onnxruntime: Path) -> None:
    onnxruntime.write_text("import threading\nthreading.Event().wait()\n")
    trial = try_runtime(None, seconds=3.0)
    assert (trial.child.timed_out, trial.imported) == (True, False)


def test_a_library_that_is_broken(onnxruntime: Path, capsys: Captured) -> None:
    onnxruntime.write_text("raise ImportError('libgomp.so.1: cannot open')\n")
    code, found = findings(capsys)
    assert code == 33
    assert "libgomp.so.1" in found["runtime"]["text"]


def test_a_student_that_computes_something_else(tmp_path: Path, capsys: Captured) -> None:
    from tests.end_to_end.small_bundle import write_small_bundle

    wrong = write_small_bundle(tmp_path / "wrong", self_test_error=0.5)
    code, found = findings(capsys, "--bundle", wrong.path)
    assert code == 33
    assert "its self-test is off by" in found["runtime"]["text"]


def test_a_folder_that_is_no_bundle_and_options_that_make_no_sense(tmp_path: Path, capsys: Captured) -> None:
    assert main(["doctor", "--bundle", str(tmp_path)]) == 6
    assert main(["doctor", "--aggregator", "192.0.2.1:7560"]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "--insecure" in errors[1]


def test_nobody_there(capsys: Captured) -> None:
    code, found = findings(capsys, "--aggregator", "127.0.0.1:1")
    assert code == 39
    assert "cannot reach the aggregator" in found["network"]["text"]
    assert found["clock"]["verdict"] == "not told"


def test_an_aggregator_that_was_not_asked_for_want_of_a_certificate(tmp_path: Path, capsys: Captured) -> None:
    code, found = findings(capsys, "--aggregator", "192.0.2.1:7560", "--tls", tmp_path / "nothing")
    assert (code, found["certificate"]["verdict"]) == (38, "problem")
    assert found["network"]["verdict"] == found["clock"]["verdict"] == "not told"
    assert "aggregator does not say" not in found["clock"]["text"]


def test_an_aggregator_that_is_older_says_neither_time_nor_files(scripted: Scripted) -> None:
    cluster, _ = call_aggregator(scripted.address, None)
    assert (cluster.error, cluster.ahead, cluster.needs, cluster.fetched) == ("", None, None, 0)
    assert cluster.round_trip


@pytest.mark.slow
def test_certificates(bundle: Bundle, tmp_path: Path, capsys: Captured) -> None:
    certificates = Certificates(tmp_path / "certs", born=LONG_AGO)
    tls = certificates.aggregator()

    def look(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
        return findings(capsys, "--aggregator", address, "--tls", folder)

    with secured(bundle, tls) as address:
        code, found = look(certificates.device("kitchen"))
        assert code in (0, 36)
        assert found["certificate"]["text"].startswith("kitchen: its key and authority belong to it")
        assert found["network"]["verdict"] == "ok"
        code, found = look(certificates.device("young", issued=SOON))
        assert (code, "'not yet valid'" in found["clock"]["text"]) == (37, True)
        assert found["certificate"]["verdict"] == found["network"]["verdict"] == "problem"
        code, found = look(certificates.device("old", issued=LONG_AGO))
        assert (code, "expired on" in found["certificate"]["text"]) == (38, True)
        code, found = look(certificates.client("laptop"))
        assert (code, "role client" in found["certificate"]["text"]) == (38, True)
        code, found = look(Certificates(tmp_path / "others").device("stranger"))
        assert (code, "authority" in found["certificate"]["text"]) == (38, True)
        code, found = findings(capsys, "--aggregator", address)
        assert (code, "wants TLS" in found["certificate"]["text"]) == (38, True)
    (certificates.folder / "devices" / "kitchen" / "key.pem").write_bytes(
        (certificates.folder / "devices" / "old" / "key.pem").read_bytes()
    )
    code, found = findings(capsys, "--tls", certificates.folder / "devices" / "kitchen")
    assert (code, "is not its key" in found["certificate"]["text"]) == (38, True)


def test_a_32_bit_system_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    old = System("Linux 6.6.51+rpt-rpi-v7", "armv7l", 32, ("glibc", "2.36"), (3, 11, 2))
    monkeypatch.setattr("nonn.system.this_system", lambda: old)
    assert main(["device"]) == 30
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "32-bit system (armv7l): ONNX Runtime has no wheels" in error
    monkeypatch.setattr("nonn.doctor.examination.this_system", lambda: old)
    code, found = findings(capsys)
    assert (code, found["system"]["code"], found["runtime"]["verdict"]) == (30, 30, "ok")


def test_the_doctor_itself_needs_no_package() -> None:
    """On a system where nothing could be installed it still has to say why."""
    program = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"numpy", "grpc", "google", "onnxruntime"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from nonn.cli import main
sys.exit(main(["doctor"]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT, check=False
    )
    assert "64-bit" in done.stdout, done.stderr
    assert done.stderr == ""
