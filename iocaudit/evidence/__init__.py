"""What was seen happening: counted, posted to the operator and stored.

Denied attempts are one source, sightings at run time the others.
"""
