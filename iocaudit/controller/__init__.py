"""The operator: what to re-audit and when, the sweep, and what is written about it."""
