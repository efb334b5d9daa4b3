"""A failure scenario: one TOML file that says which cluster, which load, and which faults when.

>>> from fault_lab.scenario import library
>>> library()["half_lost"].summary
'Half of the cluster loses power at once: each request is still answered, as well as foretold.'
"""

from fault_lab.scenario.check import students_of_parts
from fault_lab.scenario.fault import Group
from fault_lab.scenario.faults import FAULTS, Fault
from fault_lab.scenario.injection import AGGREGATOR, Injection
from fault_lab.scenario.load import check_faults, find_scenario, library, load_scenario, located
from fault_lab.scenario.model import Cluster, Load, Scenario
from fault_lab.scenario.plan import make_plan

__all__ = [
    "AGGREGATOR",
    "FAULTS",
    "Cluster",
    "Fault",
    "Group",
    "Injection",
    "Load",
    "Scenario",
    "check_faults",
    "find_scenario",
    "library",
    "load_scenario",
    "located",
    "make_plan",
    "students_of_parts",
]
