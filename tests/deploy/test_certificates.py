"""Which certificate a board gets, and when another one is issued."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from nonn.deploy.certificates import issue, look
from nonn.errors import CertificateError
from tests.authority import NOW, Certificates


@pytest.fixture
def certs(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path / "certs")


def test_one_that_is_there_is_taken(certs: Certificates) -> None:
    folder = certs.device("kitchen")
    found = look(certs.folder, "kitchen", NOW)
    assert found.issue == ""
    assert found.files == {name: (folder / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem")}


def test_looking_issues_none(certs: Certificates) -> None:
    assert look(certs.folder, "kitchen", NOW).issue == "issue a certificate to kitchen"
    assert certs.authority.entries().of("kitchen") == ()


def test_issuing_makes_it_known_to_the_aggregator(certs: Certificates) -> None:
    issued = issue(certs.folder, "kitchen", NOW)
    assert issued == look(certs.folder, "kitchen", NOW)
    assert "kitchen" in (certs.folder / "aggregator/allowed.json").read_text()


def test_one_that_is_nearly_over_is_renewed(certs: Certificates) -> None:
    certs.device("kitchen")
    later = NOW + timedelta(days=720)
    assert "renew its certificate" in look(certs.folder, "kitchen", later).issue
    assert issue(certs.folder, "kitchen", later).issue == ""


def test_one_that_was_revoked_is_not_handed_out(certs: Certificates) -> None:
    certs.device("kitchen")
    certs.revoke("kitchen")
    with pytest.raises(CertificateError, match="was revoked"):
        look(certs.folder, "kitchen", NOW)


def test_without_an_authority_only_what_is_there_counts(certs: Certificates) -> None:
    certs.device("kitchen")
    shutil.rmtree(certs.folder / "authority")
    assert look(certs.folder, "kitchen", NOW).issue == ""
    with pytest.raises(CertificateError, match="nor an authority"):
        look(certs.folder, "shed", NOW)
    with pytest.raises(CertificateError, match="issue another"):
        look(certs.folder, "kitchen", NOW + timedelta(days=720))


def test_one_of_somebody_else_is_refused(certs: Certificates) -> None:
    certs.device("kitchen").rename(certs.folder / "devices/shed")
    with pytest.raises(CertificateError, match="is the certificate of kitchen, not of shed"):
        look(certs.folder, "shed", NOW)
