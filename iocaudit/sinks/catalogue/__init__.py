"""The checks themselves as something to read: a page each, indexes, JSON. Never on the path of a scan."""
