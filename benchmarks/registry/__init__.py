"""What the benchmarks of the registry share: a stock of installations, and a registry to ask."""
