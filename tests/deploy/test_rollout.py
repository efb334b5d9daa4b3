"""Devices deployed to boards over a real ssh server, joining a real aggregator with mutual TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bundle import Bundle
from nonn.deploy.wheel import Wheel
from tests.deploy.board import Board, needs_sshd
from tests.deploy.deploying import Site, picture
from tests.deploy.environments import environment
from tests.deploy.wheels import other_version
from tests.end_to_end.secured import SecuredCluster, serving
from tests.end_to_end.small_bundle import write_small_bundle

pytestmark = [needs_sshd, pytest.mark.slow, pytest.mark.heavy]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[SecuredCluster]:
    bundle: Bundle = write_small_bundle(tmp_path / "bundle")
    with SecuredCluster(bundle, tmp_path) as cluster:
        yield cluster


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path, "kitchen") as board:
        yield board


@pytest.fixture
def shed(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path, "shed") as board:
        yield board


@pytest.fixture
def site(tmp_path: Path, cluster: SecuredCluster, wheelhouse: Path, board: Board) -> Site:
    return Site(tmp_path, cluster, wheelhouse, [board])


def test_a_board_s_life(site: Site, board: Board, wheel: Wheel) -> None:
    """Fresh, again, restarted, updated, an update that does not work, removed: each as it should be."""
    fresh = picture(board)

    done = site.deploy(wheel.path)
    assert done.code == 0, done.problem("kitchen")
    assert done.actions("kitchen") == ["install", "issue", "certificates", "unit", "enable", "start"]
    assert (done.hosts["kitchen"]["result"], done.hosts["kitchen"]["device"]) == ("changed", "serving")
    site.cluster.wait_until(serving("kitchen"))
    key = board.installed / "current/certs/key.pem"
    assert (key.stat().st_mode & 0o777, key.owner()) == (0o600, board.options["account"])

    installed, calls = picture(board), board.calls()
    again = site.deploy(wheel.path)
    assert (again.code, again.actions("kitchen"), again.hosts["kitchen"]["result"]) == (0, [], "unchanged")
    assert (picture(board), board.calls()) == (installed, calls)

    key.chmod(0o644)
    mended = site.deploy(wheel.path)
    assert (mended.code, mended.actions("kitchen")) == (0, ["certificates", "start"])
    assert key.stat().st_mode & 0o777 == 0o600

    newer = other_version(wheel.path, "0.2.0", {})
    (half := board.installed / "venvs/0.0.9-half").mkdir()
    checked = site.deploy(newer, "--check")
    assert (checked.code, checked.actions("kitchen")) == (0, ["install", "start", "tidy"])
    updated = site.deploy(newer)
    assert (updated.code, updated.hosts["kitchen"]["version"]) == (0, "0.2.0")
    assert not half.exists()
    environments = [path.name for path in (board.installed / "venvs").iterdir()]
    assert [name.partition("-")[0] for name in environments] == ["0.2.0"]
    site.cluster.wait_until(serving("kitchen"))

    other = {"protos/__init__.py": (b"PROTOCOL_VERSION = ", b"PROTOCOL_VERSION = 9")}
    alien = other_version(wheel.path, "0.3.0", other)
    taken_back = site.deploy(alien, "--wait", "45")
    assert (taken_back.code, taken_back.hosts["kitchen"]["result"]) == (17, "rolled back")
    assert "version" in taken_back.problem("kitchen")
    assert f"it is back to {environments[0]}, which is serving" in taken_back.problem("kitchen")
    assert site.deploy(newer, "--check").actions("kitchen") == ["tidy"]
    site.cluster.wait_until(serving("kitchen"))

    removed = site.deploy(None, "--remove")
    assert (removed.code, removed.hosts["kitchen"]["result"]) == (0, "removed")
    assert not board.running()
    assert picture(board) == fresh
    assert not board.installed.exists()
    assert not (board.folder / "var/lib/nonn-device").exists()
    assert site.deploy(None, "--remove").hosts["kitchen"]["result"] == "unchanged"


def test_a_bad_host_stops_no_other(site: Site, board: Board, shed: Board, wheel: Wheel) -> None:
    (shed.folder / "run/systemd/system").rmdir()
    site.boards = [shed, board]
    done = site.deploy(wheel.path)
    assert done.code == 17
    assert done.progress[-1] == "nonn: 1 of 2 hosts failed: shed"
    assert (done.hosts["shed"]["result"], done.hosts["kitchen"]["result"]) == ("failed", "changed")
    site.cluster.wait_until(serving("kitchen"))


def test_a_first_version_that_does_not_work_leaves_nothing_running(
    site: Site, board: Board, wheel: Wheel
) -> None:
    other = {"protos/__init__.py": (b"PROTOCOL_VERSION = ", b"PROTOCOL_VERSION = 9")}
    alien = other_version(wheel.path, "0.3.0", other)
    done = site.deploy(alien, "--wait", "20")
    assert (done.code, done.hosts["kitchen"]["result"]) == (17, "rolled back")
    assert "runs nothing, as before" in done.problem("kitchen")
    assert not board.running()
    assert not board.unit.exists()


def test_half_an_installation_is_finished(site: Site, board: Board, wheel: Wheel, wheelhouse: Path) -> None:
    """Cut short by what pip said, by a lost connection, or by the power."""
    name = environment(board, wheel, wheelhouse=wheelhouse)
    assert (
        site.deploy(wheel.path, index="http://127.0.0.1:9", wheelhouse=str(site.folder / "certs")).code == 17
    )
    assert list((board.installed / "venvs").iterdir()) == []
    (board.installed / "venvs" / name / "bin").mkdir(parents=True)
    (board.installed / "incoming.1").mkdir()
    assert site.deploy(wheel.path).code == 0
    assert not (board.installed / "incoming.1").exists()
    site.cluster.wait_until(serving("kitchen"))


def test_the_user_that_was_made_is_taken_away_again(site: Site, board: Board, wheel: Wheel) -> None:
    """With stand-ins for what would write this machine's list of users."""
    users = board.folder / "users"
    users.touch()
    board.stand_in("useradd", f'for name; do :; done; echo "$name" >>{users}')
    board.stand_in("userdel", f'grep -vx "$1" {users} >{users}.new; mv {users}.new {users}')
    board.stand_in(
        "id", f'[ "$1" = -u ] && [ $# = 2 ] && {{ grep -qx "$2" {users}; exit; }}; exec /usr/bin/id "$@"'
    )
    board.stand_in("chown", f'echo "$@" >>{board.folder}/owners')
    board.stand_in("stat", "echo 600 nonn-device")
    done = site.deploy(wheel.path, account="nonn-device")
    assert done.code == 0, done.problem("kitchen")
    assert done.actions("kitchen")[0] == "account"
    assert users.read_text() == "nonn-device\n"
    assert (board.folder / "owners").read_text().startswith("nonn-device ")
    assert "User=nonn-device" in board.unit.read_text()
    assert site.deploy(wheel.path, account="nonn-device").actions("kitchen") == []
    assert site.deploy(None, "--remove", account="nonn-device").code == 0
    assert users.read_text() == ""


def test_a_version_that_does_not_run_any_more_is_installed_again(
    site: Site, board: Board, wheel: Wheel
) -> None:
    assert site.deploy(wheel.path).code == 0
    (board.installed / "current/venv/bin/python").unlink()
    done = site.deploy(wheel.path)
    assert (done.code, done.actions("kitchen")) == (0, ["install", "start"]), done.problem("kitchen")
    site.cluster.wait_until(serving("kitchen"))
