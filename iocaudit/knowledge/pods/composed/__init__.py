"""Pods that a controller puts together from several parts of an object, each seen as the pod that will run."""
