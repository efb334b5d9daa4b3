"""However a runner ends, none of its processes outlives it, not even those that are stopped."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from fault_lab.guardian import Guardian
from tests.fault_lab.laboratory import WAIT, until

SCENARIO = """
import sys
from pathlib import Path
from fault_lab.grounds.processes import Processes
from tests.fault_lab.laboratory import DIGITS, injection, make_scenario
slow = {"type": "slow", "factor": 2.0, "target": "all", "at": 1.0}
scenario = make_scenario(slow, devices=2, link="ethernet")
with Processes(scenario, DIGITS, folder=Path(sys.argv[1]), seed=1) as ground:
    ground.begin(injection(1, "pause"))
    ground.begin(injection(-1, "aggregator_pause"))
    print("paused", flush=True)
    sys.stdin.read()
"""
OWN_FOLDER = """
import sys
from fault_lab.local_cluster import LocalCluster
from tests.fault_lab.laboratory import DIGITS
with LocalCluster(DIGITS, 1) as cluster:
    cluster.pause(0)
    print(cluster.folder, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def running(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    runner = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # whose Ctrl-C is not the tests'
    )
    with runner:
        try:
            yield runner
        finally:
            runner.kill()


def said(runner: "subprocess.Popen[str]") -> str:
    assert runner.stdout is not None
    assert select.select([runner.stdout], [], [], WAIT)[0]
    return runner.stdout.readline().strip()


def ended(process: psutil.Process) -> bool:
    """A process whose new parent has not asked after it yet has ended, too."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_runner_that_ends_while_processes_are_paused(ending: signal.Signals, tmp_path: Path) -> None:
    with running(SCENARIO, str(tmp_path)) as runner:
        assert said(runner) == "paused"
        left = psutil.Process(runner.pid).children(recursive=True)
        assert len(left) == 5, "aggregator, proxy, two devices and the guardian"
        until(lambda: [process.status() for process in left].count(psutil.STATUS_STOPPED) == 2)
        runner.send_signal(ending)
        runner.wait(WAIT)
        for process in left:
            until(lambda process=process: ended(process))
    assert (tmp_path / "aggregator.log").exists()


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_reaches_everyone_at_once(tmp_path: Path) -> None:
    with running(SCENARIO, str(tmp_path)) as runner:
        assert said(runner) == "paused"
        left = psutil.Process(runner.pid).children(recursive=True)
        os.killpg(runner.pid, signal.SIGINT)
        os.killpg(runner.pid, signal.SIGINT)  # impatiently
        runner.wait(WAIT)
        for process in left:
            until(lambda process=process: ended(process))


@pytest.mark.slow
def test_a_temporary_folder_goes_with_its_cluster() -> None:
    with running(OWN_FOLDER) as runner:
        folder = Path(said(runner))
        assert folder.is_dir()
        assert folder.is_relative_to(tempfile.gettempdir())
        runner.kill()
        until(lambda: not folder.exists())


@contextlib.contextmanager
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_guardian_that_is_dismissed_ends_whom_it_watches_and_no_other() -> None:
    guardian = Guardian()
    with sleeper() as stopped, sleeper() as gone, sleeper() as other:
        for process in (stopped, gone):
            guardian.watch(process.pid)
        stopped.send_signal(signal.SIGSTOP)
        gone.kill()
        gone.wait()
        guardian.dismiss()
        assert stopped.wait(WAIT) == -signal.SIGKILL
        assert other.poll() is None
    guardian.dismiss()


def test_a_guardian_removes_the_folder_that_it_is_given(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    guardian = Guardian(folder)
    with sleeper() as last:
        guardian.watch(last.pid)
        assert folder.exists()
        guardian.dismiss()
        assert last.wait(WAIT) == -signal.SIGKILL
    assert not folder.exists()
