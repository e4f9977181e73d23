"""Bytes in, Resources out."""
