"""Reports out: what a person or a machine reads."""
