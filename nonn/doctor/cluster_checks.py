"""Findings about the way to the aggregator: clock, certificate, network."""

from datetime import datetime, timedelta
from typing import Final

from nonn.doctor.facts import Cluster, OwnCertificate
from nonn.doctor.findings import Finding, Kind, ok, problem, unknown, warning

NEAR: Final = 2.0  # seconds that clocks may differ
FAR: Final = 86_400.0  # certificates are made on one day for another
SOON: Final = timedelta(days=30)  # a certificate that ends so soon is to be renewed
SLOW_ROUND_TRIP: Final = 0.1  # seconds
SLOW_BYTES: Final = 125_000  # a second: 1 Mbit/s
_CERTIFICATE: Final = 15  # nonn.errors.CertificateError
_NAME_IT: Final = "--aggregator HOST:PORT tells"
_SET_CLOCK: Final = (
    "set the clock: sudo timedatectl set-ntp true, or by hand: sudo date -s 'YYYY-MM-DD HH:MM'"
)


def check_clock(now: datetime, cluster: Cluster | None, certificate: OwnCertificate | None) -> Finding:
    """now: by this machine's clock, in UTC."""
    begins = certificate.not_before if certificate else None
    says = f"this clock says {now:%Y-%m-%d %H:%M} UTC"
    if cluster is not None and cluster.ahead is not None:
        return _compare(now, cluster.ahead, cluster.unsure, begins)
    if begins is not None and now < begins:
        text = f"{says}, and the certificate begins {begins:%Y-%m-%d %H:%M}: it looks 'not yet valid'"
        return problem(Kind.CLOCK, text, _SET_CLOCK)
    if cluster is not None and cluster.code == _CERTIFICATE and "not valid yet" in cluster.error:
        text = f"{says}, before the aggregator's certificate begins: it looks 'not yet valid'"
        return problem(Kind.CLOCK, text, _SET_CLOCK)
    answered = cluster is not None and cluster.round_trip is not None
    why = "the aggregator does not say" if answered else "not compared with an aggregator's"
    return unknown(Kind.CLOCK, f"{says}; {why}", "" if cluster else _NAME_IT)


def _compare(now: datetime, ahead: float, unsure: float, begins: datetime | None) -> Finding:
    apart = abs(ahead)
    if apart <= max(NEAR, unsure):
        return ok(Kind.CLOCK, f"{apart:.1f} s from the aggregator's, give or take {unsure:.1f} s")
    text = f"this clock is {_span(apart)} {'behind' if ahead > 0 else 'ahead of'} the aggregator's"
    if begins is not None and now < begins <= now + timedelta(seconds=ahead):
        text += ", so that the certificate looks 'not yet valid'"
        return problem(Kind.CLOCK, text, _SET_CLOCK)
    if apart >= FAR:
        text += ": with TLS, sound certificates look expired or 'not yet valid'"
        return problem(Kind.CLOCK, text, _SET_CLOCK)
    return warning(Kind.CLOCK, text, _SET_CLOCK)


def check_certificate(now: datetime, certificate: OwnCertificate | None, cluster: Cluster | None) -> Finding:
    if certificate is None:
        if cluster is not None and cluster.code == _CERTIFICATE:
            return problem(Kind.CERTIFICATE, *_split(cluster.error))
        return unknown(Kind.CERTIFICATE, "none is used", "--tls DIR names the folder of this device's")
    if certificate.error:
        return problem(Kind.CERTIFICATE, *_split(certificate.error))
    begins, ends = certificate.not_before, certificate.not_after
    assert begins is not None
    assert ends is not None
    renew = f"nonn certs device {certificate.name} --renew issues another, where the authority is"
    if now > ends:
        return problem(Kind.CERTIFICATE, f"expired on {ends:%Y-%m-%d}, by this clock", renew)
    if now < begins:
        text = f"not yet valid by this clock: it begins {begins:%Y-%m-%d %H:%M} UTC"
        return problem(Kind.CERTIFICATE, text, _SET_CLOCK)
    if cluster is not None and cluster.code == _CERTIFICATE:
        return problem(Kind.CERTIFICATE, *_split(cluster.error))
    text = f"{certificate.name}: its key and authority belong to it, valid until {ends:%Y-%m-%d}"
    if ends - now < SOON:
        return warning(Kind.CERTIFICATE, f"{text}, which is soon", renew)
    return ok(Kind.CERTIFICATE, text)


def check_network(cluster: Cluster | None) -> Finding:
    if cluster is None:
        return unknown(Kind.NETWORK, "not tried", _NAME_IT)
    if cluster.error:
        return problem(Kind.NETWORK, *_split(cluster.error))
    if not cluster.child.fine:
        text = f"asking {cluster.address} failed: {cluster.child.error or 'it crashed or took too long'}"
        return problem(Kind.NETWORK, text, "install gRPC anew: pip install --force-reinstall grpcio protobuf")
    if cluster.round_trip is None:
        return unknown(Kind.NETWORK, "not tried, since the certificate cannot be used")
    text = f"{cluster.address} answers within {1000 * cluster.round_trip:.3g} ms"
    rate = cluster.fetched / cluster.seconds if cluster.seconds else None
    if rate is not None:
        text += f", and sends {8e-6 * rate:.3g} Mbit/s"
    if cluster.round_trip > SLOW_ROUND_TRIP or (rate is not None and rate < SLOW_BYTES):
        fix = "take a cable, or a better place for the wireless; every answer waits for that"
        return warning(Kind.NETWORK, text, fix)
    return ok(Kind.NETWORK, text)


def _split(error: str) -> tuple[str, str]:
    """A line of ours is `what is wrong: what to do`, where there is something to do."""
    text, colon, fix = error.rpartition(": ")
    return (text, fix) if colon else (error, "see docs/how-to/secure.md")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.3g} s"
