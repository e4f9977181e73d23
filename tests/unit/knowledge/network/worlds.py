"""Small worlds written in YAML, and who isolates their pods."""

import yaml

from iocaudit.core.resource import Origin, Resource
from iocaudit.core.world import World
from iocaudit.knowledge.network.coverage import coverage_of
from iocaudit.knowledge.network.isolation import Coverage
from iocaudit.knowledge.network.model import EGRESS, INGRESS
from iocaudit.knowledge.pods.places import pods_of

POD = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: hooli.com/web}]}
---
"""


def world_of(text: str) -> tuple[World, list[Resource]]:
    """The documents as one complete world."""
    world = World()
    resources = [
        Resource(document, Origin("file", "test.yaml", document=number))
        for number, document in enumerate(yaml.safe_load_all(text))
        if document
    ]
    for resource in resources:
        world.add(resource)
    return world, resources


def coverage(text: str) -> Coverage:
    """The coverage of the first pod among the documents."""
    world, resources = world_of(text)
    pod = next(pod for resource in resources for pod in pods_of(resource))
    found = coverage_of(pod, world)
    assert isinstance(found, Coverage), found
    return found


def isolated(policies: str, pod: str = POD) -> str:
    """The directions in which the pod is isolated: ``""``, ``in``, ``out`` or ``in out``."""
    found = coverage(pod + policies)
    words = [word for word, way in (("in", INGRESS), ("out", EGRESS)) if found.isolation(way).isolated]
    return " ".join(words)
