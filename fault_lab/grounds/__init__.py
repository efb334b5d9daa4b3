"""Where a scenario takes place: simulated, in processes of this machine, or in containers."""
