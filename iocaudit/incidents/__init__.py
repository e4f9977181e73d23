"""The few incidents behind many sightings: what belongs together, how bad it is together, and how that is shown."""
