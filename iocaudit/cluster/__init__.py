"""The API client, list-and-watch caches and the Lease: everything that speaks to an API server."""
