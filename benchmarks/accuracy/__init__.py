"""`python -m benchmarks.accuracy`: the accuracy table on CIFAR-100, and every idea that was tried for it."""
