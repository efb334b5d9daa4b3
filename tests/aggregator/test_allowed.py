"""The list of certificates: what it lets in, how it changes, and what damage does to it."""

import contextlib
import json
import logging
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator import allowed
from aggregator.errors import CertificateError
from aggregator.peers import CertifiedPeers, Peer, PlainPeers
from aggregator.refusal import CallRefused
from protos.certificate import Role
from tests.authority import LONG_AGO, NOW, SOON, Certificates

ANYONE = frozenset(Role)
DEVICES = frozenset({Role.DEVICE})


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    made = Certificates(tmp_path / "certs", born=LONG_AGO)
    made.aggregator()
    return made


def peers(certificates: Certificates) -> CertifiedPeers:
    return CertifiedPeers(certificates.folder / "aggregator")


def context(folder: Path, name: str = "x") -> Any:
    """What gRPC says of a caller with this folder's certificate."""
    found = {"x509_pem_cert": [(folder / "cert.pem").read_bytes()], "x509_common_name": [name.encode()]}
    return SimpleNamespace(auth_context=lambda: found)


def refused(peers: CertifiedPeers, folder: Path, roles: frozenset[Role] = ANYONE) -> tuple[str, str]:
    with pytest.raises(CallRefused) as error:
        peers.check(context(folder, folder.name), roles)
    assert "\n" not in str(error.value)
    return error.value.code.name, str(error.value)


def test_a_holder_is_known_by_its_certificate(certificates: Certificates) -> None:
    kitchen = certificates.device("kitchen")
    peer = peers(certificates).check(context(kitchen), DEVICES)
    assert peer.holder is not None
    assert (peer.key, peer.holder.name, peer.holder.role) == ("device kitchen", "kitchen", Role.DEVICE)


def test_a_renewed_certificate_is_the_same_holder(certificates: Certificates) -> None:
    before = context(certificates.device("kitchen"))
    with certificates.authority.held():
        folder, _ = certificates.authority.issue("kitchen", Role.DEVICE, SOON, renew=True)
    both = peers(certificates)
    assert both.check(before, DEVICES).key == both.check(context(folder), DEVICES).key


@pytest.mark.parametrize(
    ("role", "whose"),
    [(Role.CLIENT, "a client's"), (Role.OPERATOR, "an operator's"), (Role.AGGREGATOR, "an aggregator's")],
)
def test_another_role_is_told_which_it_takes(certificates: Certificates, role: Role, whose: str) -> None:
    folder = certificates.folder / "aggregator"
    if role is not Role.AGGREGATOR:
        folder = getattr(certificates, role)("someone")
    code, said = refused(peers(certificates), folder, DEVICES)
    assert code == "PERMISSION_DENIED"
    assert f"has {whose} certificate, and this takes a device's" in said


def test_changes_of_the_list_are_taken_up(
    certificates: Certificates, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "aggregator")
    monkeypatch.setattr("aggregator.peers.LOOK_AGAIN_SECONDS", 600.0)  # however long a certificate takes here
    kitchen, running = certificates.device("kitchen"), peers(certificates)
    peer = running.check(context(kitchen), DEVICES)
    shed = certificates.device("shed")
    running.check(context(shed), DEVICES)  # at once: who is not on the list has it read again
    attic = certificates.device("attic")
    code, said = refused(running, attic)  # but not again and again
    assert (code, "attic has been revoked, or is not yet on" in said) == ("UNAUTHENTICATED", True)
    running.refresh()
    running.check(context(attic), DEVICES)
    certificates.revoke("kitchen")
    assert running.listed(peer)
    running.refresh()
    assert not running.listed(peer)
    assert refused(running, kitchen)[0] == "UNAUTHENTICATED"
    running.check(context(shed), DEVICES)
    assert [r.getMessage() for r in caplog.records] == [f"{n} certificates may connect" for n in (3, 4, 3)]


def test_a_certificate_that_is_over_stays_outside_though_it_is_listed(certificates: Certificates) -> None:
    old = certificates.device("old", issued=LONG_AGO)
    path = certificates.folder / "aggregator/allowed.json"
    document = json.loads(path.read_text())
    assert [one["name"] for one in document["certificates"]] == ["aggregator", "old"]
    running = peers(certificates)
    assert "old has expired: `nonn certs device old --renew`" in refused(running, old)[1]
    fingerprint = document["certificates"][1]["fingerprint"]
    assert not running.listed(Peer("device old", fingerprint=fingerprint))


@pytest.mark.parametrize("damage", ["cut", "gone", "empty", "words", "fields", "folder"])
def test_a_damaged_list_neither_opens_nor_shuts_the_door(
    certificates: Certificates, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    kitchen, running = certificates.device("kitchen"), peers(certificates)
    running.refresh()
    path = certificates.folder / "aggregator/allowed.json"
    whole = path.read_bytes()
    stranger = Certificates(certificates.folder / "elsewhere").device("stranger")
    path.unlink()
    match damage:
        case "cut":
            path.write_bytes(whole[:-40])
        case "empty":
            path.write_bytes(b"")
        case "words":
            path.write_bytes(b"everyone is welcome")
        case "fields":
            path.write_bytes(whole.replace(b'"fingerprint"', b'"finger"'))
        case "folder":
            path.mkdir()
    for _ in range(3):
        running.refresh()
    (warning,) = caplog.records
    assert "the list of before stays in force" in warning.getMessage()
    assert str(path) in warning.getMessage()
    running.check(context(kitchen), DEVICES)
    assert refused(running, stranger)[0] == "UNAUTHENTICATED"
    with pytest.raises(CertificateError, match=r"allowed\.json") as error:
        peers(certificates)  # to begin with, there has to be one
    assert error.value.exit_code == 15


def test_a_list_that_is_put_right_is_in_force_again(certificates: Certificates) -> None:
    kitchen, running = certificates.device("kitchen"), peers(certificates)
    path = certificates.folder / "aggregator/allowed.json"
    path.write_bytes(path.read_bytes()[:50])
    running.refresh()
    certificates.revoke("kitchen")
    running.refresh()
    assert refused(running, kitchen)[0] == "UNAUTHENTICATED"


def test_an_expired_certificate_of_its_own_keeps_the_aggregator_from_starting(
    certificates: Certificates,
) -> None:
    certificates.aggregator(issued=LONG_AGO)
    with pytest.raises(CertificateError, match=r"expired on .*`nonn certs aggregator` issues another"):
        peers(certificates)


def test_only_the_aggregators_own_certificate_will_do(certificates: Certificates) -> None:
    with pytest.raises(CertificateError, match="of role device, and this takes that of aggregator"):
        CertifiedPeers(certificates.device("kitchen"))
    certificates.aggregator(issued=SOON)
    with pytest.raises(CertificateError, match="set the clock"):
        peers(certificates)


def test_a_certificate_that_is_nearly_over_is_pointed_out_once_a_day(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with certificates.authority.held():
        certificates.authority.issue("aggregator", Role.AGGREGATOR, NOW, days=10)
    running = peers(certificates)
    running.refresh()
    (warning,) = caplog.records
    assert re.fullmatch(r".* expires in (9|10) days: `nonn certs aggregator`", warning.getMessage())


def test_in_plain_text_only_this_machine_operates() -> None:
    plain = PlainPeers()
    far, near = (SimpleNamespace(peer=lambda w=w: w) for w in ("ipv4:192.0.2.7:1", "ipv4:127.0.0.1:1"))
    for caller in (far, near):
        plain.check(caller, ANYONE)
        plain.check(caller, DEVICES)
    plain.check(near, frozenset({Role.OPERATOR}))
    with pytest.raises(CallRefused, match="own machine only") as error:
        plain.check(far, frozenset({Role.OPERATOR}))
    assert error.value.code is grpc.StatusCode.PERMISSION_DENIED


def test_the_list_is_read_as_it_is_written() -> None:
    holder = allowed.Holder("kitchen", Role.DEVICE, 1_900_000_000.0)
    assert allowed.parse(allowed.render([("ab" * 32, holder)])) == {"ab" * 32: holder}


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "name": JSON | st.just("kitchen"),
        "role": JSON | st.just("device"),
        "fingerprint": JSON | st.just("ab" * 32),
        "expires": JSON | st.just("2030-01-01T00:00:00+00:00") | st.just("0001-01-01T00:00:00"),
    },
)


@given(st.binary() | JSON.map(lambda v: json.dumps(v).encode()) | FIELDS)
def test_nothing_but_a_list_is_a_list(data: bytes | dict[str, Any]) -> None:
    if isinstance(data, dict):
        data = json.dumps({"format": allowed.FORMAT, "certificates": [data]}).encode()
    with contextlib.suppress(ValueError):
        found = allowed.parse(data)
        assert all(isinstance(holder.role, Role) and holder.name for holder in found.values())


def test_a_list_beyond_all_measure_is_not_read(certificates: Certificates) -> None:
    path = certificates.folder / "aggregator/allowed.json"
    with path.open("r+b") as file:
        os.ftruncate(file.fileno(), allowed.LARGEST + 1)
    with pytest.raises(CertificateError, match="larger than"):
        peers(certificates)
