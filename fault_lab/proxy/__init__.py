"""A TCP proxy that makes a network worse on purpose: without root, and without touching the system's own."""

from fault_lab.proxy.control import Flapping, LinkState
from fault_lab.proxy.link import LINKS, Link
from fault_lab.proxy.proxy import Proxy
from fault_lab.proxy.toxics import CLEAN, Toxics

__all__ = ["CLEAN", "LINKS", "Flapping", "Link", "LinkState", "Proxy", "Toxics"]
