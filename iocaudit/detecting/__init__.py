"""The corridor for recorded signals: read, detect, judge the objects that were written, and group what was seen."""
