"""What the real grounds have in common: a cluster that serves, and faults that are carried out on it."""

from types import TracebackType
from typing import Protocol, Self

from fault_lab.scenario import Injection, Scenario


class Ground(Protocol):
    """A cluster of `scenario.cluster.devices` devices named device-0, device-1, ...

    `with` starts it and waits until every device serves (ProcessEnded, TimeoutError), and ends all of it on
    every path. `address` stays the same for all of its life, aggregator restarts included. `begin`, `end`
    and `deaths` may block, and are called from one thread; the former two never twice for one injection, and
    `end` not for what is over at once.
    """

    name: str

    @classmethod
    def shortcomings(cls, scenario: Scenario) -> list[str]:
        """A line for each thing in the scenario that cannot be done here, with the reason; else nothing."""
        ...

    @property
    def address(self) -> str: ...

    def begin(self, injection: Injection) -> None: ...

    def end(self, injection: Injection) -> None: ...

    def deaths(self) -> list[str]:
        """A line for each node that has ended though no fault has ended it, told once.

        Raises ProcessEnded when a part of the laboratory itself has ended, such as the proxy.
        """
        ...

    def last_words(self, device: int) -> str:
        """The end of the log of a device, or of the aggregator (AGGREGATOR)."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
