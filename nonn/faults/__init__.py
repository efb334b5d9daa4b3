"""The kinds of `nonn faults`, one module each."""
