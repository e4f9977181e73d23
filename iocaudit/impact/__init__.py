"""What a policy would do: to files, and to a live cluster."""
