"""What a host should have against what it has: the steps that lead from one to the other. Pure."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from nonn.deploy.facts import Facts
from nonn.deploy.inventory import Host, hidden

MACHINES: Final = ("aarch64", "x86_64")
OLDEST_PYTHON: Final = (3, 11)
NEEDED_MEGABYTES: Final = 500  # see docs/how-to/deploy.md for what an installation takes
SKEW_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Certificates:
    """What is to be on the host. files: by name, empty while `issue` says why one has to be issued first.

    valid: from and until when, in UTC; None while it has not been issued.
    """

    files: dict[str, bytes]
    issue: str = ""
    valid: tuple[datetime, datetime] | None = None

    @property
    def digest(self) -> str:
        """sha256 of all files one after another, or empty when there are none."""
        whole = b"".join(self.files.values())
        return hashlib.sha256(whole).hexdigest() if whole else ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """version: nonn's. venv: the name of the environment, which holds a digest of what is in it.

    certificates: None in plain text.
    """

    version: str
    venv: str
    unit: str
    certificates: Certificates | None

    @property
    def unit_digest(self) -> str:
        return hashlib.sha256(self.unit.encode()).hexdigest()

    @property
    def certificates_digest(self) -> str:
        return self.certificates.digest if self.certificates else ""

    @property
    def release(self) -> str:
        whole = f"{self.venv} {self.unit_digest} {self.certificates_digest}"
        return hashlib.sha256(whole.encode()).hexdigest()[:12]


class Do(StrEnum):
    ACCOUNT = "account"
    INSTALL = "install"
    ISSUE = "issue"
    CERTIFICATES = "certificates"
    UNIT = "unit"
    ENABLE = "enable"
    START = "start"
    TIDY = "tidy"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Action:
    """why: one line for people."""

    do: Do
    why: str


def obstacle(host: Host, wanted: Wanted, facts: Facts, now: datetime) -> str:
    """Why nothing can be deployed to this host, or empty. now: this machine's clock."""
    return next(_obstacles(host, wanted, facts, now), "")


def _obstacles(host: Host, wanted: Wanted, facts: Facts, now: datetime) -> Iterator[str]:
    if facts.bits == 32:
        yield (
            f"its system is 32-bit ({facts.machine}), and there is no ONNX Runtime for that: "
            "install the 64-bit system (Raspberry Pi 3, 4, 5 and Zero 2 W run it)"
        )
    if facts.machine not in MACHINES or facts.libc != "glibc":
        kind = facts.machine if facts.machine not in MACHINES else f"{facts.machine} without glibc"
        there_is = f"{' and '.join(MACHINES)} with glibc only"
        yield f"its architecture is {kind}, and there is ONNX Runtime for {there_is}"
    if not facts.systemd:
        yield "it does not run systemd, which is to start the device: start `nonn device` there by hand"
    if not facts.root:
        yield no_root(host)
    if facts.others:
        yield (
            f"deploy made it a device before, with another service or prefix ({', '.join(facts.others)}): "
            "take that away first, with `--remove` and the inventory as it was"
        )
    if facts.occupied:
        other = "prefix" if facts.occupied == host.folder else "service"
        yield f"{facts.occupied} holds something that deploy did not make: name another {other}"
    if facts.stranger:
        yield f"it has a service {host.service} that deploy did not make: name another `service`"
    yield from _python_obstacles(host, facts)
    if wanted.venv not in facts.venvs and facts.free < NEEDED_MEGABYTES:
        yield (
            f"{facts.free} MB are free for {host.folder}, and an installation takes {NEEDED_MEGABYTES}: "
            "free some, or name a prefix on another disk"
        )
    yield from _clock_obstacles(wanted, facts, now)


def no_root(host: Host) -> str:
    user = host.user or "the user"
    if host.sudo:
        return f"{user} is neither root nor may use sudo without a password: allow that, or log in as root"
    return f"{user} may not write {host.folder} and {host.units}: log in as root, or write sudo = true"


def _python_obstacles(host: Host, facts: Facts) -> Iterator[str]:
    if not facts.python:
        yield f"it has no {host.python}: `sudo apt install python3 python3-venv`, or name it with python"
        return
    if tuple(map(int, facts.python.split(".")[:2])) < OLDEST_PYTHON:
        yield f"its {host.python} is {facts.python}, and 3.11 is needed: name a newer one with python"
    if not facts.venv:
        yield f"its {host.python} cannot make virtual environments: `sudo apt install python3-venv`"
    if hidden(facts.home) and not host.root:
        yield (
            f"its {host.python} is in {facts.home}, which the service is not allowed to see: "
            "name one of the system's, or in /opt, with python"
        )


def _clock_obstacles(wanted: Wanted, facts: Facts, now: datetime) -> Iterator[str]:
    if wanted.certificates is None:
        return
    there = datetime.fromtimestamp(facts.clock, now.tzinfo)
    off = (there - now).total_seconds()
    valid = wanted.certificates.valid
    # One that is issued now is good a week back.
    right = abs(off) < 24 * 3600 if valid is None else valid[0] <= there <= valid[1]
    if not right:
        yield (
            f"its clock says {there:%Y-%m-%d %H:%M} UTC and this machine's {now:%Y-%m-%d %H:%M}, so TLS "
            "would refuse the certificates: set it there (`sudo timedatectl set-ntp true`)"
        )


def skew(facts: Facts, now: datetime) -> str:
    """A remark on a clock that is off by more than a minute, or empty."""
    off = facts.clock - now.timestamp()
    if abs(off) < SKEW_SECONDS:
        return ""
    return f"its clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}"


def plan(host: Host, wanted: Wanted, facts: Facts) -> tuple[Action, ...]:
    """In the order in which they are done; empty when the host is as it should be."""
    changes = tuple(_changes(host, wanted, facts))
    return (*changes, *_start(wanted, facts, changed=bool(changes)), *_tidy(wanted, facts))


def _changes(host: Host, wanted: Wanted, facts: Facts) -> Iterator[Action]:
    if not facts.account:
        yield Action(Do.ACCOUNT, f"make the user {host.account}")
    if wanted.venv not in facts.venvs:
        half = " (what there is of it is half or does not run)" if wanted.venv in facts.halves else ""
        before = f" in place of {facts.venv_in_use}" if facts.venv_in_use not in ("", wanted.venv) else ""
        yield Action(Do.INSTALL, f"install nonn {wanted.venv}{before}{half}")
    elif facts.venv_in_use != wanted.venv:
        yield Action(Do.INSTALL, f"use nonn {wanted.venv}, which is installed")
    if wanted.certificates is not None and wanted.certificates.issue:
        yield Action(Do.ISSUE, wanted.certificates.issue)
    if wanted.certificates is not None and not _has_certificates(host, wanted, facts):
        yield Action(Do.CERTIFICATES, "hand out the certificate")
    if wanted.certificates is None and facts.certificates:
        yield Action(Do.CERTIFICATES, "take the certificate away")
    if facts.unit != wanted.unit_digest:
        yield Action(Do.UNIT, f"{'change' if facts.unit else 'write'} {host.units}/{host.service}.service")
    if not facts.enabled:
        yield Action(Do.ENABLE, "start it at boot")


def _start(wanted: Wanted, facts: Facts, *, changed: bool) -> Iterator[Action]:
    if not facts.active:
        yield Action(Do.START, "start it")
    elif changed or facts.current != wanted.release or facts.started != facts.current:
        yield Action(Do.START, "restart it")


def _tidy(wanted: Wanted, facts: Facts) -> Iterator[Action]:
    leftovers = _leftovers(wanted, facts)
    if leftovers:
        yield Action(Do.TIDY, f"take away {' '.join(leftovers)}")


def _has_certificates(host: Host, wanted: Wanted, facts: Facts) -> bool:
    right = facts.certificates == wanted.certificates_digest and facts.key == f"600 {host.account}"
    return bool(right and wanted.certificates_digest)


def _leftovers(wanted: Wanted, facts: Facts) -> list[str]:
    old = [name for name in facts.venvs if name not in (wanted.venv, facts.venv_in_use)]
    return [*old, *(name for name in facts.halves if name != wanted.venv)]


def removal(host: Host, facts: Facts) -> tuple[Action, ...]:
    """What deploy made on this host and would take away."""
    if not facts.made:
        return ()
    parts = [f"the service {host.service}", host.folder]
    if facts.state:
        parts.append(host.state)
    if facts.own_account:
        parts.append(f"the user {host.account}")
    return (Action(Do.REMOVE, f"remove {', '.join(parts)}"),)
