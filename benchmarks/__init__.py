"""Measurements that take minutes; the figures are in benchmarks/README.md."""
