"""Gather the facts, and let each check have its say."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from nonn.doctor import board, board_checks, cluster_checks
from nonn.doctor.children import Stages, probe
from nonn.doctor.facts import Child, Cluster, Disk, Needs, OwnCertificate, Power, Processor, Trial
from nonn.doctor.findings import Finding
from nonn.system import System, this_system

# On a board that is slow, and busy with something else, importing alone may take half a minute.
TRIAL_SECONDS: Final = 120.0
CALLS_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Facts:
    """now: by this machine's clock, in UTC. cluster: None when none was named."""

    now: datetime
    system: System
    processor: Processor
    power: Power
    disk: Disk
    trial: Trial
    cluster: Cluster | None
    certificate: OwnCertificate | None


class Refused(Exception):
    """The bundle, or an option, with NoNN's exit code for that. Not a NonnError, which needs numpy."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


def examine(aggregator: str | None, tls: Path | None, bundle: Path | None, state: Path | None) -> Facts:
    """Takes seconds; bounded by the children's deadlines. Raises Refused for a bundle that is none."""
    trial = try_runtime(bundle)
    # Where no aggregator is named, the certificate is looked at all the same.
    calls = call_aggregator(aggregator or "", tls) if aggregator or tls else None
    return Facts(
        now=datetime.now(UTC),
        system=this_system(),
        processor=board.this_processor(),
        power=board.this_power(),
        disk=board.this_disk(state or _state_home()),
        trial=trial,
        cluster=calls[0] if calls and aggregator else None,
        certificate=calls[1] if calls else None,
    )


def judge(facts: Facts) -> tuple[Finding, ...]:
    """From cause to effect."""
    needs = facts.trial.needs or (facts.cluster.needs if facts.cluster else None)
    return (
        board_checks.check_system(facts.system),
        board_checks.check_python(facts.system),
        board_checks.check_processor(facts.processor),
        board_checks.check_runtime(facts.trial),
        board_checks.check_memory(facts.trial.offered, needs),
        board_checks.check_disk(facts.disk, needs),
        board_checks.check_power(facts.power),
        cluster_checks.check_clock(facts.now, facts.cluster, facts.certificate),
        cluster_checks.check_certificate(facts.now, facts.certificate, facts.cluster),
        cluster_checks.check_network(facts.cluster),
    )


def try_runtime(bundle: Path | None, seconds: float = TRIAL_SECONDS) -> Trial:
    """Raises Refused."""
    try:
        version = metadata.version("onnxruntime")
    except metadata.PackageNotFoundError:
        version = ""
    arguments = [] if bundle is None else [str(bundle)]
    stages, child = probe("nonn.doctor.trial", *arguments, seconds=seconds)
    if (refused := stages.get("refused")) is not None:
        raise Refused(refused["error"], refused["code"])
    passed = stages.get("passed", {})
    return Trial(
        version=version,
        child=child,
        imported="imported" in stages,
        needs=_needs(stages),
        passed=passed.get("students", 0),
        image_seconds=passed.get("image_seconds", 0.0),
        peak=passed.get("peak", 0),
        offered=stages.get("offered", {}).get("bytes", 0),
    )


def call_aggregator(
    address: str, tls: Path | None, seconds: float = CALLS_SECONDS
) -> tuple[Cluster, OwnCertificate | None]:
    """Without an address, of the certificate alone."""
    stages, child = probe("nonn.doctor.calls", address, str(tls or ""), seconds=seconds)
    answered, failed = stages.get("answered", {}), stages.get("failed", {})
    fetched = stages.get("fetched", {})
    cluster = Cluster(
        address=address,
        child=child,
        error=failed.get("error", ""),
        code=failed.get("code", 0),
        needs=_needs(stages),
        ahead=answered.get("ahead"),
        unsure=answered.get("unsure", 0.0),
        round_trip=answered.get("round_trip"),
        fetched=fetched.get("bytes", 0),
        seconds=fetched.get("seconds", 0.0),
    )
    return cluster, _certificate(stages.get("certificate"), child) if tls else None


def _certificate(said: Mapping[str, Any] | None, child: Child) -> OwnCertificate:
    if said is None:
        return OwnCertificate(f"it could not be read ({child.error or 'the child that did so crashed'})")
    if "error" in said:
        return OwnCertificate(said["error"])
    dates = (datetime.fromisoformat(said[key]) for key in ("not_before", "not_after"))
    return OwnCertificate("", said["name"], *dates)


def _needs(stages: Stages) -> Needs | None:
    return Needs(**stages["needs"]) if "needs" in stages else None


def _state_home() -> Path:
    """Where `nonn device` keeps its state unless it is told."""
    configured = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (configured if configured.is_absolute() else Path("~/.local/state").expanduser()) / "nonn"
