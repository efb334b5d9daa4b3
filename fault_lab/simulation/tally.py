"""What many scenarios add up to."""

from collections import Counter
from dataclasses import dataclass, field

from fault_lab.simulation.scenario import Kind
from fault_lab.simulation.simulation import Outcome


@dataclass(slots=True)
class Tally:
    """steps: of the core. seconds: of virtual time. count: of what happened, by name."""

    scenarios: int = 0
    steps: int = 0
    seconds: float = 0.0
    count: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        self.scenarios += 1
        self.steps += outcome.steps
        self.seconds += outcome.seconds
        self.count += outcome.count

    @property
    def faults(self) -> dict[str, int]:
        """How many of each kind."""
        return {kind.name.lower(): self.count[kind.name] for kind in Kind}
