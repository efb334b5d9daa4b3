"""Reading our own certificate with the standard library, compared with a package that knows them all."""

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nonn import issuing
from protos import certificate
from protos.certificate import Role

NOW = datetime.now(UTC).replace(microsecond=0)
AUTHORITY = issuing.new_authority(NOW)
KITCHEN = issuing.issue(AUTHORITY, "kitchen", Role.DEVICE, NOW, 730).pair


def read(folder: Path, pair: issuing.KeyPair) -> certificate.Certificate:
    paths = [folder / name for name in ("ca.pem", "cert.pem", "key.pem")]
    for path, data in zip(paths, (AUTHORITY.certificate, pair.certificate, pair.key), strict=True):
        path.write_bytes(data)
    return certificate.read_own(*paths)


@pytest.mark.parametrize("role", Role)
def test_it_says_what_was_put_into_it(role: Role, tmp_path: Path) -> None:
    pair = issuing.issue(AUTHORITY, "kitchen-7", role, NOW, 730, ["localhost"]).pair
    found = read(tmp_path, pair)
    assert (found.name, found.role) == ("kitchen-7", role)
    known = x509.load_pem_x509_certificate(pair.certificate)
    assert found.not_before == known.not_valid_before_utc == NOW - timedelta(days=7)
    assert found.not_after == known.not_valid_after_utc == NOW + timedelta(days=730)
    assert certificate.fingerprint(pair.certificate.decode()) == known.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize("issued", [NOW - timedelta(days=2000), NOW + timedelta(days=400)])
def test_dates_are_not_judged(issued: datetime, tmp_path: Path) -> None:
    pair = issuing.issue(AUTHORITY, "kitchen", Role.DEVICE, issued, 30).pair
    assert read(tmp_path, pair).not_after == issued + timedelta(days=30)


def test_the_authority_is_nobodys_certificate(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not of the authority"):  # it may sign, and nothing else
        read(tmp_path, AUTHORITY)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_raises_nothing_else(data: st.DataObject, tmp_path: Path) -> None:
    damaged = bytearray(KITCHEN.certificate)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, 600))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        read(tmp_path, issuing.KeyPair(bytes(damaged), KITCHEN.key))
