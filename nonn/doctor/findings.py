"""What the doctor says."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it will work, though not as well as it might
    PROBLEM = "problem"
    UNKNOWN = "not told"


class Kind(Enum):
    """Of findings, from cause to effect. The value is the exit code of a problem of that kind."""

    SYSTEM = 30
    PYTHON = 31
    PROCESSOR = 32
    RUNTIME = 33
    MEMORY = 34
    DISK = 35
    POWER = 36
    CLOCK = 37
    CERTIFICATE = 38
    NETWORK = 39

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Finding:
    """text: one line. fix: what to do, in one line; empty when there is nothing to do."""

    kind: Kind
    verdict: Verdict
    text: str
    fix: str = ""


def ok(kind: Kind, text: str) -> Finding:
    return Finding(kind, Verdict.OK, text)


def warning(kind: Kind, text: str, fix: str) -> Finding:
    return Finding(kind, Verdict.WARNING, text, fix)


def problem(kind: Kind, text: str, fix: str) -> Finding:
    return Finding(kind, Verdict.PROBLEM, text, fix)


def unknown(kind: Kind, text: str, fix: str = "") -> Finding:
    return Finding(kind, Verdict.UNKNOWN, text, fix)


def exit_code(findings: Iterable[Finding]) -> int:
    """Of the problem that comes first from cause to effect; 0 without a problem."""
    return min((each.kind.value for each in findings if each.verdict is Verdict.PROBLEM), default=0)
