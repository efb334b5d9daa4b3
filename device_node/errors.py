"""What can end a device, or keep it from serving a student."""

from typing import ClassVar

from bundle.errors import NonnError


def one_line(text: str) -> str:
    """What someone else wrote, fit for a log line."""
    return "".join(char if char.isprintable() else " " for char in text[:300])


class SettingsError(NonnError):
    """A setting that makes no sense, such as an address without a port."""

    exit_code: ClassVar[int] = 2


class AggregatorUnreachable(NonnError):
    """The aggregator was not reached for as long as the device had been told to try."""

    exit_code: ClassVar[int] = 10


class ProtocolMismatch(NonnError):
    """The aggregator speaks another version of the protocol; trying again would not help."""

    exit_code: ClassVar[int] = 12


class CertificateError(NonnError):
    """The device's certificate cannot be used, or the aggregator's is not to be trusted."""

    exit_code: ClassVar[int] = 15


class StudentUnusable(NonnError):
    """A student that could not be fetched, loaded, or that failed its self-test. Reported, never fatal."""


class NoRoom(StudentUnusable):
    """There is not enough memory for it, beside what is served already."""


class WorkRefused(NonnError):
    """Images that the student does not take. Answered with a Refusal, never fatal."""


class BudgetPassed(NonnError):
    """Work whose time is over. Answered with a Refusal, never fatal."""
