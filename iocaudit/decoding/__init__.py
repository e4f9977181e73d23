"""JSON of the API server taken apart so that what cannot be read in one object costs only that object."""
