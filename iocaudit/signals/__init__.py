"""Bytes in: what is reported from outside of us. Here the audit log of the API server."""
