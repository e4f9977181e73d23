"""The nouns of the auditor: standard library only, no I/O."""
