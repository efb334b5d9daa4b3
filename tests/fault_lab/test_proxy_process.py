"""`python -m fault_lab.proxy` as grounds run it: real sockets, and a control file that changes."""

import contextlib
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_lab import control_file
from fault_lab.processes import NodeProcess, ProcessEnded
from tests.fault_lab.laboratory import WAIT, until

NAMES = ("device-0", "device-1")


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while data := self.request.recv(65536):
                self.request.sendall(data)


@contextlib.contextmanager
def echoing(port: int = 0) -> Iterator[str]:
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = daemon_threads = True

    with Server(("127.0.0.1", port), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "{}:{}".format(*server.server_address)
        finally:
            server.shutdown()
            thread.join()


class Links:
    """The proxy process of two links, and its control file."""

    def __init__(self, upstream: str, folder: Path) -> None:
        self.control = folder / "links.json"
        listen = [word for name in NAMES for word in ("--listen", f"{name}=127.0.0.1:0")]
        command = ["fault_lab.proxy", "--upstream", upstream, "--control", str(self.control), *listen]
        self.process = NodeProcess("proxy", command, folder / "proxy.log", {})
        self.process.wait_for_line("ready", WAIT)
        self.addresses = [self.process.wait_for_line(f"listening on {name}=", WAIT) for name in NAMES]

    def tell(self, **states: Any) -> None:
        control_file.write(self.control, {name.replace("_", "-"): each for name, each in states.items()})

    def dial(self, index: int = 0) -> socket.socket:
        host, _, port = self.addresses[index].rpartition(":")
        return socket.create_connection((host, int(port)), WAIT)

    def works(self, index: int = 0) -> bool:
        """Whether a new connection passes bytes on."""
        try:
            with self.dial(index) as link:
                there_and_back(link)
        except ConnectionError:
            return False
        return True


@pytest.fixture
def links(tmp_path: Path) -> Iterator[Links]:
    with echoing() as address:
        links = Links(address, tmp_path)
        try:
            yield links
        finally:
            links.process.kill()


def there_and_back(link: socket.socket) -> float:
    started = time.monotonic()
    link.sendall(b"x")
    if not link.recv(1):
        raise ConnectionResetError
    return time.monotonic() - started


def broken(link: socket.socket) -> bool:
    """Waits for it."""
    try:
        return link.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_link_is_sound_until_it_is_told_otherwise_and_then_again(links: Links) -> None:
    with links.dial(0) as slow, links.dial(1) as sound:
        there_and_back(slow)
        links.tell(device_0={"upstream": {"latency": 0.1}, "downstream": {"latency": 0.2}})
        until(lambda: there_and_back(slow) >= 0.3)
        assert there_and_back(sound) < 0.3
        links.control.unlink()
        until(lambda: there_and_back(slow) < 0.1)


def test_a_malformed_file_is_complained_about_and_changes_nothing(links: Links) -> None:
    with links.dial() as link:
        links.tell(device_0={"upstream": {"latency": 0.1}})
        until(lambda: there_and_back(link) >= 0.1)
        links.tell(device_0={"upstream": {"latency": "long"}})
        until(lambda: "still counts" in links.process.output())
        assert there_and_back(link) >= 0.1


def test_each_increase_of_resets_breaks_what_there_is(links: Links) -> None:
    for resets in (1, 2):
        with links.dial(0) as victim, links.dial(1) as other:
            there_and_back(victim)
            there_and_back(other)
            links.tell(device_0={"resets": resets})
            assert broken(victim)
            there_and_back(other)
        assert links.works()


def test_a_link_that_is_cut_takes_nobody_until_it_is_whole(links: Links) -> None:
    with links.dial() as link:
        there_and_back(link)
        links.tell(device_0={"enabled": False})
        assert broken(link)
    assert not links.works(0)
    assert links.works(1)
    links.tell()
    until(links.works)


def test_a_flapping_link_comes_and_goes_until_told_to_stay(links: Links) -> None:
    links.tell(device_0={"flapping": {"up": 0.2, "down": 0.2}})
    for _ in range(2):
        until(lambda: not links.works())
        until(links.works)
    links.tell()
    until(lambda: stays(links, 0.6))


def stays(links: Links, seconds: float) -> bool:
    """Whether a new connection is still there after so long."""
    try:
        with links.dial() as link:
            there_and_back(link)
            link.settimeout(seconds)
            link.recv(1)
    except TimeoutError:
        return True
    except ConnectionError:
        return False
    return False


def test_it_outlives_what_it_leads_to(tmp_path: Path) -> None:
    with echoing() as address:
        links = Links(address, tmp_path)
        try:
            assert links.works()
        except BaseException:
            links.process.kill()
            raise
    try:
        assert not links.works()
        with echoing(int(address.rpartition(":")[2])):
            assert links.works()
    finally:
        links.process.kill()


def test_asked_to_end_it_ends(links: Links) -> None:
    with links.dial() as link:
        there_and_back(link)
        links.process.send(signal.SIGTERM)
        assert links.process.wait(WAIT) == 0
        assert broken(link)


def test_an_address_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with echoing() as address:
        command = ["fault_lab.proxy", "--upstream", address, "--control", str(tmp_path / "no")]
        proxy = NodeProcess("proxy", [*command, "--listen", f"a={address}"], tmp_path / "log", {})
        try:
            with pytest.raises(ProcessEnded, match="cannot listen"):
                proxy.wait_for_line("ready", WAIT)
        finally:
            proxy.kill()
    assert proxy.output().count("\n") == 1


def test_it_needs_no_package_but_what_a_device_has() -> None:
    """Containers of a cluster have no pydantic, and those of proxies nothing at all to compute with."""
    program = """
import sys
for name in ("pydantic", "numpy", "grpc", "google", "onnxruntime"):
    sys.modules[name] = None
import fault_lab.proxy.__main__
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
