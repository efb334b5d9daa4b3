"""A scenario on a real ground: load, faults, and every outcome checked."""
