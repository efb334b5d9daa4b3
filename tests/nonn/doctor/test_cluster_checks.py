"""Findings about clock, certificate and network: pure functions on facts."""

from datetime import UTC, datetime, timedelta

import pytest

from nonn.doctor.cluster_checks import check_certificate, check_clock, check_network
from nonn.doctor.facts import Child, Cluster, OwnCertificate
from nonn.doctor.findings import Verdict

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WHERE = "192.168.1.10:7560"
OK, WARNING, PROBLEM, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM, Verdict.UNKNOWN


def own(begins: int = -7, ends: int = 365) -> OwnCertificate:
    """Days from now."""
    return OwnCertificate("", "kitchen", NOW + timedelta(days=begins), NOW + timedelta(days=ends))


@pytest.mark.parametrize(
    ("ahead", "unsure", "verdict", "text"),
    [
        (0.4, 0.01, OK, "0.4 s from the aggregator's"),
        (-1.9, 0.01, OK, "1.9 s"),
        (3.0, 4.0, OK, "give or take 4.0 s"),
        (-40.0, 0.01, WARNING, "40 s ahead of the aggregator's"),
        (10_000.0, 0.01, WARNING, "3 h behind"),
        (3 * 86_400.0, 0.01, PROBLEM, "3 days behind the aggregator's: with TLS, sound certificates"),
    ],
)
def test_clocks_that_differ(ahead: float, unsure: float, verdict: Verdict, text: str) -> None:
    found = check_clock(NOW, Cluster(WHERE, ahead=ahead, unsure=unsure), None)
    assert found.verdict is verdict
    assert text in found.text
    assert bool(found.fix) == (verdict is not OK)


def test_a_wrong_clock_explains_certificates_that_are_not_yet_valid() -> None:
    theirs = (
        "cannot talk to it: the aggregator's certificate is not valid yet (this machine's clock ...): set it"
    )
    for cluster, certificate in (
        (None, own(begins=1)),
        (Cluster(WHERE, ahead=2 * 86_400.0), own(begins=1)),
        (Cluster(WHERE, error=theirs, code=15), own()),
    ):
        found = check_clock(NOW, cluster, certificate)
        assert (found.verdict, "'not yet valid'" in found.text) == (PROBLEM, True)
        assert "timedatectl" in found.fix


def test_a_clock_that_cannot_be_compared() -> None:
    unreached = Cluster(WHERE, error="cannot reach it: start it", code=10)
    for cluster, why in (
        (None, "not compared"),
        (Cluster(WHERE), "not compared"),
        (unreached, "not compared"),
        (Cluster(WHERE, round_trip=0.002), "the aggregator does not say"),
    ):
        found = check_clock(NOW, cluster, own())
        assert (found.verdict, why in found.text) == (UNKNOWN, True)


@pytest.mark.parametrize(
    ("certificate", "cluster", "verdict", "text", "fix"),
    [
        (None, None, UNKNOWN, "none is used", "--tls"),
        (own(), None, OK, "kitchen: its key and authority belong to it, valid until 2027-11-23", ""),
        (own(ends=10), None, WARNING, "soon", "--renew"),
        (own(ends=-1), None, PROBLEM, "expired on 2026-11-22", "nonn certs device kitchen --renew"),
        (own(begins=1), None, PROBLEM, "not yet valid", "timedatectl"),
        (OwnCertificate("ca.pem is missing: make it"), None, PROBLEM, "ca.pem is missing", "make it"),
        (own(), Cluster(WHERE, error="not of the authority: look", code=15), PROBLEM, "authority", "look"),
        (None, Cluster(WHERE, error="wants TLS: name --tls DIR", code=15), PROBLEM, "wants TLS", "--tls"),
    ],
)
def test_certificates(
    certificate: OwnCertificate | None, cluster: Cluster | None, verdict: Verdict, text: str, fix: str
) -> None:
    found = check_certificate(NOW, certificate, cluster)
    assert found.verdict is verdict
    assert text in found.text
    assert fix in found.fix


@pytest.mark.parametrize(
    ("cluster", "verdict", "text"),
    [
        (None, UNKNOWN, "not tried"),
        (Cluster(WHERE), UNKNOWN, "not tried, since the certificate cannot be used"),
        (
            Cluster(WHERE, round_trip=0.002, fetched=10**6, seconds=0.1),
            OK,
            "within 2 ms, and sends 80 Mbit/s",
        ),
        (Cluster(WHERE, round_trip=0.002), OK, "within 2 ms"),
        (Cluster(WHERE, round_trip=0.3), WARNING, "300 ms"),
        (Cluster(WHERE, round_trip=0.002, fetched=10**5, seconds=3.0), WARNING, "0.267 Mbit/s"),
        (Cluster(WHERE, error="cannot reach it: start it", code=10), PROBLEM, "cannot reach it"),
        (Cluster(WHERE, child=Child(signal=4)), PROBLEM, "crashed"),
    ],
)
def test_networks(cluster: Cluster | None, verdict: Verdict, text: str) -> None:
    found = check_network(cluster)
    assert found.verdict is verdict
    assert text in found.text
