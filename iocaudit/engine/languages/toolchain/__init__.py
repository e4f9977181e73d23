"""Compiles the programs that come as Go sources, once, into a cache folder."""
