"""A package index with a password: it reaches pip, and nobody else on either machine."""

import asyncio
import base64
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nonn.deploy import steps
from nonn.deploy.errors import HostFailed
from nonn.deploy.plan import Wanted
from nonn.deploy.wheel import Wheel
from tests.deploy.board import Board, needs_sshd

pytestmark = [needs_sshd, pytest.mark.slow]

SECRET = "hunter-" + "2" * 9  # in pieces, so that no command line of the tests holds it


class Index(ThreadingHTTPServer):
    """Has no packages. It notes who asks, and which processes of this machine show the password meanwhile."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.shown: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Index

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Authorization", ""))
        self.server.shown += [line for line in command_lines() if SECRET in line]
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


@pytest.fixture
def index() -> Iterator[Index]:
    with Index() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_its_password_is_in_no_list_of_processes(tmp_path: Path, wheel: Wheel, index: Index) -> None:
    address = f"http://user:{SECRET}@127.0.0.1:{index.server_port}/simple"
    wanted = Wanted(wheel.version, "0.1.0-ab", "[Unit]\n", None)
    with Board(tmp_path, "kitchen") as board:
        host = replace(board.host, index=address)
        with pytest.raises(HostFailed, match="pip could not install nonn") as failure:
            asyncio.run(steps.install(host, wanted, wheel, "x86_64"))
    assert SECRET not in str(failure.value)
    assert index.asked
    assert set(index.asked) == {"Basic " + base64.b64encode(f"user:{SECRET}".encode()).decode()}
    assert index.shown == []
