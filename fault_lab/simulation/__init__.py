"""The aggregator's core with simulated devices, clients and networks, on a virtual clock, all from one seed.

>>> from fault_lab.simulation import Simulation, draw
>>> Simulation(draw(seed=1)).run().count["answered"] > 0
True
"""

from fault_lab.simulation.draw import draw
from fault_lab.simulation.scenario import Scenario
from fault_lab.simulation.simulation import Outcome, Simulation
from fault_lab.simulation.tally import Tally

__all__ = ["Outcome", "Scenario", "Simulation", "Tally", "draw"]
