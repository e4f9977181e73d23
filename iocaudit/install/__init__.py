"""What goes into a cluster for the auditor to run: rights, and the configuration of its webhooks."""
