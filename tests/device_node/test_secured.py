"""A device and its certificate: what it makes of it, and what it says when it does not get in."""

import logging
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from device_node import CertificateError, DeviceSettings, SettingsError
from device_node.secure import named_by_certificate
from tests.authority import LONG_AGO, SOON, Certificates
from tests.device_node.scripted import RunningDevice, ScriptedAggregator

Start = Callable[..., RunningDevice]
NOWHERE = "127.0.0.1:9"  # nobody listens to the discard port


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs", born=LONG_AGO)


def test_it_goes_by_its_certificates_name_unless_another_is_given(certificates: Certificates) -> None:
    folder = certificates.device("kitchen")
    assert named_by_certificate(DeviceSettings(tls=folder)).name == "kitchen"
    assert named_by_certificate(DeviceSettings(tls=folder, name="mine")).name == "mine"
    assert named_by_certificate(DeviceSettings()).name is None


def test_with_a_certificate_other_machines_may_be_dialled(certificates: Certificates) -> None:
    with pytest.raises(SettingsError, match="--tls"):
        DeviceSettings("192.0.2.7:7560")
    DeviceSettings("192.0.2.7:7560", tls=certificates.device("kitchen"))
    with pytest.raises(SettingsError, match="exclude each other"):
        DeviceSettings(tls=certificates.folder, insecure=True)


def test_a_folder_that_is_none_keeps_it_from_starting(certificates: Certificates, device: Start) -> None:
    nothing, other = certificates.folder / "nothing", certificates.client("laptop")
    for folder, says in ((nothing, "missing"), (other, "of role client")):
        error = device(aggregator=NOWHERE, tls=folder).join()
        assert isinstance(error, CertificateError)
        assert says in str(error)
        assert error.exit_code == 15


@pytest.mark.parametrize(("issued", "says"), [(LONG_AGO, "expired on"), (SOON, "set the clock")])
def test_a_certificate_out_of_date_is_said_once_and_waited_for(
    certificates: Certificates, device: Start, caplog: pytest.LogCaptureFixture, issued: datetime, says: str
) -> None:
    caplog.set_level(logging.WARNING)
    folder = certificates.device("kitchen", issued=issued)
    error = device(aggregator=NOWHERE, tls=folder, give_up_seconds=1.0).join()
    assert isinstance(error, CertificateError)
    assert says in str(error)
    (complaint,) = [record.getMessage() for record in caplog.records]
    assert complaint.startswith(f"cannot reach the aggregator at {NOWHERE}")
    assert says in complaint


def test_an_aggregator_in_plain_text_is_recognised(
    aggregator: ScriptedAggregator, certificates: Certificates, device: Start
) -> None:
    error = device(tls=certificates.device("kitchen"), give_up_seconds=0.5).join()
    assert isinstance(error, CertificateError)
    assert "does not speak TLS" in str(error)
