"""Where pods stand in an object, and what a pod means: the one visitor."""
