"""How what is flagged is mended: patches of YAML and JSON, and objects that are missing."""
