"""Updates that fail: what the board runs afterwards, and what is said of it."""

import asyncio
import fcntl
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nonn.deploy import steps
from nonn.deploy.steps import Left
from nonn.deploy.wheel import Wheel, read_wheel
from tests.deploy.board import ON_BOARD, Board, needs_sshd
from tests.deploy.deploying import Site
from tests.deploy.environments import put_environment
from tests.deploy.wheels import other_version
from tests.end_to_end.secured import SecuredCluster, serving
from tests.end_to_end.small_bundle import write_small_bundle

pytestmark = [needs_sshd, pytest.mark.slow]

BRIEF = ("--wait", "5")
BUSY = "another nonn deploy is at work on this host: try again when it is done"
SYSTEMCTL = ON_BOARD / "systemctl"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    bundle = write_small_bundle(tmp_path / "bundle")
    with SecuredCluster(bundle, tmp_path) as cluster, Board(tmp_path, "kitchen") as board:
        yield Site(tmp_path, cluster, None, [board])


@pytest.fixture
def board(site: Site) -> Board:
    return site.boards[0]


@pytest.fixture
def first(site: Site, board: Board, wheel: Wheel) -> str:
    """The environment of the version that works and is deployed."""
    name = put_environment(board, wheel)
    done = site.deploy(wheel.path)
    assert done.code == 0, done.problem("kitchen")
    return name


@pytest.fixture
def second(board: Board, wheel: Wheel, first: str) -> Wheel:
    """The version that is to follow and does not work."""
    newer = read_wheel(other_version(wheel.path, "0.2.0", {}))
    put_environment(board, newer, works=False)
    return newer


def state(board: Board) -> tuple[str, list[str]]:
    """The environment in force, and what systemd was told to do so far."""
    return (board.installed / "current/venv").resolve().name, board.calls()


def interrupted(site: Site, wheel: Wheel) -> None:
    """A deployment that ends by Ctrl-C while it waits for the device."""
    command = [sys.executable, "-m", "nonn", "deploy", str(site.inventory()), "--wheel", str(wheel.path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "wait until the aggregator sees it ready" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(60) != 0


def test_a_version_that_never_became_ready_is_not_what_a_board_goes_back_to(
    site: Site, board: Board, first: str, second: Wheel
) -> None:
    interrupted(site, second)
    assert state(board)[0] != first
    done = site.deploy(second.path, *BRIEF)
    assert done.hosts["kitchen"]["result"] == "rolled back"
    assert "this version does not work" in done.problem("kitchen")
    assert f"it is back to {first}, which is serving" in done.problem("kitchen")
    assert state(board)[0] == first
    site.cluster.wait_until(serving("kitchen"))


def test_a_board_that_cannot_be_reached_to_be_taken_back_was_not_taken_back(
    site: Site, board: Board, first: str, second: Wheel
) -> None:
    keys = board.folder / "authorized_keys"
    board.stand_in("systemctl", f'[ "$1" != restart ] || {{ rm {keys}; exit 1; }}; exec {SYSTEMCTL} "$@"')
    done = site.deploy(second.path, *BRIEF)
    assert (done.code, done.hosts["kitchen"]["result"]) == (17, "failed")
    assert "could not be taken back (it does not let" in done.problem("kitchen")


def test_what_was_never_switched_to_is_not_taken_back(
    site: Site, board: Board, wheel: Wheel, first: str
) -> None:
    before = state(board)
    board.stand_in("tar", "exit 1")
    done = site.deploy(wheel.path, threads=2)
    assert (done.code, done.hosts["kitchen"]["result"]) == (17, "failed")
    assert "the release did not arrive" in done.problem("kitchen")
    assert f"it was left as it is, running {first}" in done.problem("kitchen")
    assert state(board) == before


def test_who_finds_another_deployment_at_work_changes_nothing(
    site: Site, board: Board, wheel: Wheel, first: str
) -> None:
    before = state(board)
    with (board.installed / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = site.deploy(wheel.path, threads=2)
    assert done.hosts["kitchen"]["result"] == "failed"
    assert done.problem("kitchen") == BUSY
    assert state(board) == before


def test_what_somebody_else_deployed_meanwhile_is_left_alone(board: Board, first: str) -> None:
    before = state(board)
    assert asyncio.run(steps.go_back(board.host, "ours", "")) == Left(False, first)
    assert state(board) == before
    assert board.running()
