"""The real `nonn device`, which can be told to be slow, to lie, to have a full disk or a wrong clock.

    python -m fault_lab.mischief CONTROL --aggregator HOST:PORT ...

CONTROL is a JSON file that may change at any time; without it the device is an honest one.
"""

from fault_lab.mischief.control import HONEST, Answers, Mischief, read_mischief

__all__ = ["HONEST", "Answers", "Mischief", "read_mischief"]
