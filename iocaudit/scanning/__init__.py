"""The corridor for files: what is read, by whom, in what order, and audited."""
