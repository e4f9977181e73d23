"""Benchmarks: ratios within one run. ``make bench`` prints them; no test is timed."""
