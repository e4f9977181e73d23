"""The door of the API server: a validating admission webhook."""
