"""Hosts that cannot be deployed to, over a real ssh server: one line for each, and nothing changed."""

import getpass
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nonn.deploy import unit
from nonn.deploy.inventory import Host, Inventory
from nonn.deploy.ssh import explain
from nonn.deploy.wheel import Wheel
from tests.authority import LONG_AGO, Certificates
from tests.deploy.board import ON_BOARD, Board, keygen, needs_sshd
from tests.deploy.deploying import Done, deploy, picture, write_inventory

pytestmark = [needs_sshd, pytest.mark.slow]

NOBODY = "127.0.0.1:9"  # no aggregator: none is needed to see that a host is not fit
UNPRIVILEGED = 'if [ "$*" = -u ]; then echo 1000; else exec /usr/bin/id "$@"; fi'


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path, "kitchen") as board:
        yield board


def attempt(board: Board, wheel: Wheel, *options: str, certs: Path | None = None, **changes: Any) -> Done:
    inventory = write_inventory(
        board.folder.parent / "boards.toml", NOBODY, [{**board.options, **changes}], certs
    )
    return deploy(inventory, wheel.path, *options)


def refused(board: Board, wheel: Wheel, certs: Path | None = None, **changes: Any) -> str:
    """What was said of a host that was left as it was."""
    before = picture(board)
    done = attempt(board, wheel, certs=certs, **changes)
    assert (done.code, done.hosts["kitchen"]["result"]) == (17, "failed")
    assert picture(board) == before
    assert done.progress == ["nonn: 1 of 1 hosts failed: kitchen"]
    return done.problem("kitchen")


def write_unit(board: Board, name: str) -> None:
    """That of a device of this name, as deploy leaves it."""
    board.unit.parent.mkdir(parents=True)
    inventory = Inventory(Path("boards.toml"), NOBODY, None, ())
    board.unit.write_text(unit.render(inventory, replace(board.host, name=name)))


# ---- getting there


def test_a_host_that_is_not_there(board: Board, wheel: Wheel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    said = refused(board, wheel, port=port)
    assert said.startswith("unreachable (connection refused): see whether it is on")


def test_a_server_that_says_nothing(board: Board, wheel: Wheel) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = refused(board, wheel, port=silent.getsockname()[1])
    assert said.startswith("unreachable (")


def test_a_name_that_nobody_has(board: Board, wheel: Wheel) -> None:
    assert "there is no host called kitchen.invalid" in refused(board, wheel, address="kitchen.invalid")


def test_a_host_key_that_is_not_known(board: Board, wheel: Wheel) -> None:
    board.known_hosts.write_text("")
    assert "host key is not known yet" in refused(board, wheel)


def test_a_host_key_that_has_changed(board: Board, wheel: Wheel, tmp_path: Path) -> None:
    keygen(tmp_path / "another")
    board.trust(tmp_path / "another.pub")
    said = refused(board, wheel)
    assert "host key is not the one that is known" in said
    assert f"ssh-keygen -R '[127.0.0.1]:{board.port}'" in said


def test_a_key_that_opens_nothing(board: Board, wheel: Wheel) -> None:
    (board.folder / "authorized_keys").write_text("")
    assert "does not let" in refused(board, wheel)


# ---- what is found there


def test_a_32_bit_system(board: Board, wheel: Wheel) -> None:
    board.stand_in("their-python", "echo 3.11.2 32 glibc")
    said = refused(board, wheel, python="their-python")
    assert "32-bit" in said
    assert "no ONNX Runtime" in said


def test_another_architecture(board: Board, wheel: Wheel) -> None:
    board.stand_in("uname", "echo riscv64")
    assert "its architecture is riscv64" in refused(board, wheel)


def test_no_python_and_an_old_one(board: Board, wheel: Wheel) -> None:
    assert "it has no python3.99" in refused(board, wheel, python="python3.99")
    board.stand_in("their-python", 'case "$*" in *struct*) echo 3.9.2 64 glibc;; esac')
    assert "is 3.9.2, and 3.11 is needed" in refused(board, wheel, python="their-python")


def test_no_systemd(board: Board, wheel: Wheel) -> None:
    (board.folder / "run/systemd/system").rmdir()
    assert "does not run systemd" in refused(board, wheel)


def test_no_sudo(board: Board, wheel: Wheel) -> None:
    board.stand_in("id", UNPRIVILEGED)
    board.stand_in("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    assert "may use sudo without a password" in refused(board, wheel, sudo=True, user=getpass.getuser())


def test_no_space(board: Board, wheel: Wheel) -> None:
    board.stand_in("df", "echo Filesystem; echo /dev/root 1000000 900000 102400 90% /")
    assert "100 MB are free" in refused(board, wheel)


def test_a_folder_of_somebody_else(board: Board, wheel: Wheel) -> None:
    board.installed.mkdir(parents=True)
    (board.installed / "thesis.txt").touch()
    assert "holds something that deploy did not make" in refused(board, wheel)
    done = attempt(board, wheel, "--remove")
    assert (done.code, done.hosts["kitchen"]["result"]) == (0, "unchanged")
    assert (board.installed / "thesis.txt").exists()


def test_a_service_of_somebody_else(board: Board, wheel: Wheel) -> None:
    board.unit.parent.mkdir(parents=True)
    board.unit.touch()
    assert "a service nonn-device that deploy did not make" in refused(board, wheel)


def test_a_service_of_the_system_s_packages(board: Board, wheel: Wheel) -> None:
    board.stand_in("systemctl", f'[ "$1" = cat ] || exec {ON_BOARD}/systemctl "$@"')
    assert "a service nonn-device that deploy did not make" in refused(board, wheel)


def test_data_of_somebody_else_under_the_service_s_name(board: Board, wheel: Wheel) -> None:
    state = board.folder / "var/lib/nonn-device"
    state.mkdir(parents=True)
    (state / "thesis.txt").touch()
    assert f"{state} holds something that deploy did not make: name another service" in refused(board, wheel)
    assert attempt(board, wheel, "--remove").hosts["kitchen"]["result"] == "unchanged"
    assert (state / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("was", "changes"),
    [
        ("kitchen", {"service": "another"}),
        ("kitchen", {"prefix": "/opt/another"}),
        ("shed", {"prefix": "/opt/another"}),
    ],
)
def test_a_device_from_another_inventory(
    board: Board, wheel: Wheel, was: str, changes: dict[str, str]
) -> None:
    """Left alone, it would run beside the new one."""
    board.installed.mkdir(parents=True)
    (board.installed / ".nonn-deploy").touch()
    write_unit(board, was)
    assert "(nonn-device): take that away first" in refused(board, wheel, **changes)


def test_a_second_device_on_one_board(board: Board, wheel: Wheel) -> None:
    write_unit(board, "kitchen")
    second = attempt(board, wheel, "--check", name="shed", service="nonn-two", prefix="/opt/nonn-two")
    assert (second.code, second.hosts["shed"]["result"]) == (0, "planned")


def test_a_wrong_clock_with_certificates(board: Board, wheel: Wheel, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certs")
    certificates.device("kitchen")
    board.stand_in("date", "echo 1000000000")
    said = refused(board, wheel, certs=certificates.folder)
    assert "its clock says 2001-09-09 01:46" in said
    assert "timedatectl" in said


def test_a_certificate_that_was_taken_back(board: Board, wheel: Wheel, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certs")
    certificates.device("kitchen")
    certificates.revoke("kitchen")
    assert "the certificate of kitchen was revoked" in refused(board, wheel, certs=certificates.folder)


def test_no_aggregator(board: Board, wheel: Wheel) -> None:
    """Said before anything is done that would have to be taken back."""
    assert "nothing was changed, and --no-wait deploys without it" in refused(board, wheel)


def test_a_login_shell_that_prints_something_else(board: Board, wheel: Wheel) -> None:
    board.stand_in("sh", "echo This account is currently not available.")
    assert "did not answer as a Linux system" in refused(board, wheel)


# ---- looking alone


def test_looking_changes_nothing_here_or_there(board: Board, wheel: Wheel, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "certs")
    certificates.device("shed", LONG_AGO)
    before = picture(board), certificates.authority.entries()
    done = attempt(board, wheel, "--check", certs=certificates.folder, name="shed")
    assert (done.code, done.hosts["shed"]["result"]) == (0, "planned")
    assert done.actions("shed") == ["install", "issue", "certificates", "unit", "enable", "start"]
    assert "renew its certificate" in json.dumps(done.hosts)
    assert (picture(board), certificates.authority.entries()) == before


# ---- words of ssh that no server here can be made to say


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("ssh: connect to host pi port 22: No route to host", "unreachable (no route to host)"),
        ("ssh: connect to host pi port 22: Connection timed out", "unreachable (connection timed out)"),
        (
            "client_loop: send disconnect: Broken pipe",
            "unreachable (client_loop: send disconnect: broken pipe)",
        ),
        ("", "unreachable (the connection ended)"),
    ],
)
def test_what_ssh_says(said: str, meaning: str) -> None:
    assert str(explain(Host("pi", "pi"), 255, said)).startswith(meaning)
