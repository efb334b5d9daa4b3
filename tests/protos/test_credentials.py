"""The folder of a certificate: what makes it unusable, and what is said then."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from protos.certificate import Role
from protos.credentials import Credentials
from tests.authority import LONG_AGO, NOW, SOON, Certificates


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs", born=LONG_AGO)


def test_it_knows_whose_it_is(certificates: Certificates) -> None:
    loaded = Credentials.load(certificates.device("kitchen"), Role.DEVICE)
    assert (loaded.own.name, loaded.own.role) == ("kitchen", Role.DEVICE)
    assert "PRIVATE" not in repr(loaded)
    loaded.check_dates(NOW)


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem", "key.pem"])
def test_a_missing_file_is_named(certificates: Certificates, name: str) -> None:
    folder = certificates.device("kitchen")
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"{name} is missing"):
        Credentials.load(folder)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nonn certs"):
        Credentials.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot read"):
        Credentials.load(tmp_path / "file")


@pytest.mark.parametrize("name", ["ca.pem", "cert.pem"])
def test_a_damaged_certificate_is_named(certificates: Certificates, name: str) -> None:
    folder = certificates.device("kitchen")
    (folder / name).write_bytes((folder / name).read_bytes()[:200])
    with pytest.raises(ValueError, match=f"{name} is (no certificate in PEM form|damaged)"):
        Credentials.load(folder)


@pytest.mark.parametrize("key", ["another's", "none"])
def test_a_key_of_another_certificate(certificates: Certificates, key: str) -> None:
    folder, other = certificates.device("kitchen"), certificates.device("shed")
    (folder / "key.pem").write_bytes((other / "key.pem").read_bytes() if key == "another's" else b"")
    with pytest.raises(ValueError, match=r"cert\.pem is damaged, or key\.pem is not its key"):
        Credentials.load(folder)


def test_a_folder_put_together_from_two_authorities(certificates: Certificates, tmp_path: Path) -> None:
    folder = certificates.device("kitchen")
    shutil.copyfile(Certificates(tmp_path / "others").device("kitchen") / "ca.pem", folder / "ca.pem")
    with pytest.raises(ValueError, match=r"cert\.pem is not of the authority of ca\.pem"):
        Credentials.load(folder)


def test_a_certificate_for_something_else(certificates: Certificates) -> None:
    with pytest.raises(ValueError, match="of role client, and this takes that of device"):
        Credentials.load(certificates.client("laptop"), Role.DEVICE)


def test_a_certificate_that_is_over_or_not_valid_yet(certificates: Certificates) -> None:
    over = Credentials.load(certificates.device("old", issued=LONG_AGO))
    with pytest.raises(ValueError, match=r"expired on .*clock says.*nonn certs device old --renew"):
        over.check_dates(NOW)
    early = Credentials.load(certificates.device("new", issued=SOON))
    with pytest.raises(ValueError, match="set the clock"):
        early.check_dates(NOW)
    early.check_dates(SOON - timedelta(days=6))  # backdated, for boards whose clock is a little slow
