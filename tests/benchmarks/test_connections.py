import shutil
import socket

import pytest

from benchmarks.connections import established

pytestmark = pytest.mark.skipif(shutil.which("ss") is None, reason="ss is not installed")
WAIT = 10.0


def test_bytes_are_counted_in_both_directions_for_each_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with (
            socket.create_connection(address, WAIT) as first,
            socket.create_connection(address, WAIT) as second,
        ):
            ends = [server.accept()[0] for _ in range(2)]
            try:
                # The first connection that is accepted is the first that was made.
                before = established(address[1])
                first.sendall(bytes(1234))
                assert len(ends[0].recv(1234, socket.MSG_WAITALL)) == 1234
                ends[1].sendall(bytes(777))
                assert len(second.recv(777, socket.MSG_WAITALL)) == 777
                after = established(address[1])
            finally:
                for end in ends:
                    end.close()
            ports = [client.getsockname()[1] for client in (first, second)]
    assert set(before) == set(after) == set(ports)
    changes = [(after[port].down - before[port].down, after[port].up - before[port].up) for port in ports]
    assert changes == [(0, 1234), (777, 0)]


def test_other_servers_do_not_count() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_server(("127.0.0.1", 0)) as other,
        socket.create_connection(other.getsockname(), WAIT),
    ):
        assert established(server.getsockname()[1]) == {}
