"""Run a catalogue of checks over resources in a world, and judge what it finds."""
