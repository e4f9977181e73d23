"""The door for signals: what Falco, Alertmanager and the API server send, stored before it is acknowledged."""
