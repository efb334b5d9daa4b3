"""Two devices of one identity, as one of them sees it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from device_node.displacement import ASIDE_SECONDS
from tests.authority import Certificates
from tests.device_node.scripted import RunningDevice, ScriptedAggregator

StartDevice = Callable[..., RunningDevice]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def secured(certificates: Certificates) -> Iterator[ScriptedAggregator]:
    scripted = ScriptedAggregator(certificates.aggregator())
    yield scripted
    scripted.close()


def test_a_copied_state_folder_gets_an_identity_of_its_own(
    aggregator: ScriptedAggregator, device: StartDevice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    device()
    names, ids = [], []
    for _ in range(3):
        peer = aggregator.accept()
        names.append(peer.hello.name)
        ids.append(peer.hello.device_id)
        peer.serve()
        peer.abort(grpc.StatusCode.ABORTED, "the same device has joined again")
    assert ids[0] == ids[1] != ids[2]
    assert names == ["test"] * 3
    assert (tmp_path / "state" / "device-id").read_text().strip() == ids[2]
    assert caplog.text.count("was the state folder") == 1


def test_displaced_now_and_then_it_stays_the_same(
    aggregator: ScriptedAggregator, device: StartDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_node.displacement.SHORT_SECONDS", 0.0)
    device()
    ids = set()
    for _ in range(3):
        peer = aggregator.accept()
        ids.add(peer.hello.device_id)
        peer.abort(grpc.StatusCode.ABORTED, "the same device has joined again")
    assert len(ids) == 1


def test_a_copied_certificate_steps_aside(
    secured: ScriptedAggregator,
    certificates: Certificates,
    device: StartDevice,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    held_back = []
    monkeypatch.setattr(
        "device_node.backoff.Backoff.hold_back", lambda self, seconds: held_back.append(seconds)
    )
    device(aggregator=secured.address, tls=certificates.device("kitchen"))
    ids = []
    for _ in range(3):
        peer = secured.accept()
        ids.append(peer.hello.device_id)
        peer.serve()
        peer.abort(grpc.StatusCode.ABORTED, "the same device has joined again")
    assert ids == ["kitchen"] * 3
    assert held_back == [ASIDE_SECONDS]
    assert "the certificate of kitchen" in caplog.text
