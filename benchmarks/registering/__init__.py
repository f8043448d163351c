"""What the benchmarks of registration share."""
