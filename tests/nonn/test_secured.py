"""Clients and certificates."""

import asyncio
from pathlib import Path

import pytest

from aggregator import Aggregator
from bundle import Bundle
from nonn import AsyncClient, Client
from nonn.errors import CertificateError, ClusterUnreachable, UsageError
from tests.authority import LONG_AGO, Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs", born=LONG_AGO)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_folder_makes_other_machines_dialable(
    kind: type[Client | AsyncClient], certificates: Certificates
) -> None:
    folder = certificates.client("laptop")
    with pytest.raises(UsageError, match="tls=DIR"):
        kind("192.0.2.7:7560")
    kind("192.0.2.7:7560", tls=folder)
    kind("192.0.2.7:7560", tls=str(folder))
    with pytest.raises(UsageError, match="exclude each other"):
        kind("192.0.2.7:7560", tls=folder, insecure=True)
    with pytest.raises(CertificateError, match="missing") as error:
        kind("192.0.2.7:7560", tls=certificates.folder)
    assert error.value.exit_code == 15
    with pytest.raises(CertificateError, match="expired on"):
        kind("192.0.2.7:7560", tls=certificates.client("old", issued=LONG_AGO))


def test_what_clients_are_told_by_an_aggregator_with_tls(
    bundle: Bundle, certificates: Certificates, tmp_path: Path
) -> None:
    tls, mine = certificates.aggregator(), certificates.client("laptop")
    others = Certificates(tmp_path / "others").client("laptop")

    async def test() -> None:
        async with Aggregator(bundle, listen="127.0.0.1:0", tls=tls) as aggregator:
            async with AsyncClient(aggregator.address, tls=mine) as client:
                assert (await client.status(deadline=20)).bundle == bundle.manifest.id
            async with AsyncClient(aggregator.address, tls=others) as client:
                with pytest.raises(CertificateError, match="not of the authority of"):
                    await client.status(deadline=20)
            async with AsyncClient(aggregator.address) as client:
                with pytest.raises(CertificateError, match=r"wants TLS.*tls=DIR"):
                    await client.status(deadline=20)
            with Client(aggregator.address, tls=mine) as blocking:
                status = await asyncio.to_thread(blocking.status, 20)
                assert status.bundle == bundle.manifest.id
        async with AsyncClient(aggregator.address, tls=mine) as client:
            with pytest.raises(ClusterUnreachable, match="start it"):
                await client.status(deadline=20)

    asyncio.run(test())


def test_what_clients_are_told_by_an_aggregator_without_tls(
    bundle: Bundle, certificates: Certificates
) -> None:
    async def test() -> None:
        async with (
            Aggregator(bundle, listen="127.0.0.1:0") as aggregator,
            AsyncClient(aggregator.address, tls=certificates.client("laptop")) as client,
        ):
            with pytest.raises(CertificateError, match="start the aggregator with --tls"):
                await client.status(deadline=20)

    asyncio.run(test())
