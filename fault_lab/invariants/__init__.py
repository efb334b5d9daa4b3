"""Promises of the aggregator's core, checked after every step, on virtual time or on a real cluster.

`Watch` is driven in place of the core that it wraps. It sees events, effects and the status, nothing of the
inside, and raises a `Violation` as soon as an `Invariant` does not hold.
"""

from fault_lab.invariants.catalogue import Broken, Invariant, Violation
from fault_lab.invariants.history import History
from fault_lab.invariants.watch import Watch

__all__ = ["Broken", "History", "Invariant", "Violation", "Watch"]
