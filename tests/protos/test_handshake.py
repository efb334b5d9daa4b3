"""Why a handshake with a real gRPC server does not come about."""

import shutil
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from protos.credentials import Credentials
from protos.handshake import speaks_tls, why_not
from tests.authority import LONG_AGO, SOON, Certificates

Serve = Callable[..., str]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs", born=LONG_AGO)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server with the certificate of a folder, or without TLS; its address is `localhost:PORT`."""
    servers = []

    def start(folder: Path | None, host: str = "127.0.0.1") -> str:
        server = grpc.server(ThreadPoolExecutor(1))
        servers.append(server)
        if folder is None:
            port = server.add_insecure_port(f"{host}:0")
        else:
            own = Credentials.load(folder)
            credentials = grpc.ssl_server_credentials(
                [(own.key, own.certificate)], own.authority, require_client_auth=True
            )
            port = server.add_secure_port(f"{host}:0", credentials)
        server.start()
        return f"localhost:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


def test_nothing_is_wrong(certificates: Certificates, serve: Serve) -> None:
    address = serve(certificates.aggregator())
    assert why_not(address, certificates.device("kitchen")) is None
    assert why_not(address.replace("localhost", "127.0.0.1"), certificates.client("laptop")) is None
    assert speaks_tls(address)


def test_the_aggregator_is_of_another_authority(
    certificates: Certificates, serve: Serve, tmp_path: Path
) -> None:
    address = serve(Certificates(tmp_path / "others").aggregator())
    assert "not of the authority of" in str(why_not(address, certificates.device("kitchen")))


def test_our_certificate_is_of_another_authority(
    certificates: Certificates, serve: Serve, tmp_path: Path
) -> None:
    address = serve(certificates.aggregator())
    mine = Certificates(tmp_path / "others").device("kitchen")
    shutil.copyfile(certificates.folder / "aggregator/ca.pem", mine / "ca.pem")
    assert "not of the aggregator's authority" in str(why_not(address, mine))


def test_the_aggregators_certificate_is_for_other_names(certificates: Certificates, serve: Serve) -> None:
    port = serve(certificates.aggregator(), "127.0.0.2").rpartition(":")[2]
    why = str(why_not(f"127.0.0.2:{port}", certificates.device("kitchen")))
    assert "is not for 127.0.0.2" in why
    assert "--host 127.0.0.2" in why


@pytest.mark.parametrize(("issued", "says"), [(LONG_AGO, "has expired"), (SOON, "is not valid yet")])
def test_the_aggregators_certificate_is_out_of_date(
    certificates: Certificates, serve: Serve, issued: object, says: str
) -> None:
    address = serve(certificates.aggregator(issued=issued))  # type: ignore[arg-type]
    why = str(why_not(address, certificates.device("kitchen")))
    assert f"the aggregator's certificate {says}" in why
    assert "clock" in why


def test_our_certificate_is_over_by_the_aggregators_clock(certificates: Certificates, serve: Serve) -> None:
    address = serve(certificates.aggregator())
    why = str(why_not(address, certificates.device("kitchen", issued=LONG_AGO)))
    assert "not valid by the aggregator's clock" in why


def test_nobody_but_the_aggregator_can_pass_for_it(certificates: Certificates, serve: Serve) -> None:
    """A device's certificate of that very name, and someone who answers in the aggregator's place with it."""
    address = serve(certificates.device("localhost"))
    assert "may be somebody else" in str(why_not(address, certificates.client("laptop")))
    own = Credentials.load(certificates.folder / "clients/laptop")
    with grpc.secure_channel(address, own.for_channel()) as channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/nonn.v1.Inference/Status")(b"", timeout=10)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE


def test_the_aggregator_does_not_speak_tls(certificates: Certificates, serve: Serve) -> None:
    address = serve(None)
    assert "does not speak TLS" in str(why_not(address, certificates.device("kitchen")))
    assert not speaks_tls(address)


def test_nobody_answers(certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert why_not(address, certificates.device("kitchen")) is None
        assert not speaks_tls(address)
    assert why_not(address, certificates.folder / "devices/kitchen") is None
    assert not speaks_tls(address)
