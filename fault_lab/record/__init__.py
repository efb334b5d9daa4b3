"""What happened in a run, on any ground: outcomes of requests, faults, what was seen of the cluster."""

from fault_lab.record.outcome import Ending, Outcome
from fault_lab.record.run import Fall, Problem, Run, Sample
from fault_lab.record.summary import summarise

__all__ = ["Ending", "Fall", "Outcome", "Problem", "Run", "Sample", "summarise"]
