"""The ten indicators of compromise at run time: one declaration each, with the detections that see it."""
