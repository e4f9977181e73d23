"""A policy tried on files, in the order in which ``kubectl apply -R -f`` would make their objects.

What is denied is not there for what comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.world import World
from iocaudit.engine.audit import Accept, Auditor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.policy import PolicySet
from iocaudit.impact.trial import Trial
from iocaudit.sources.files import Inputs
from iocaudit.sources.reading import Reader, Scan, note_inputs, skipped_templates


def try_files(
    paths: Iterable[str], catalogue: Catalogue, policies: PolicySet, accept: Accept | None, namespace: str
) -> tuple[Trial, Scan]:
    """Try every object of the given files; the scan says what could not be read. Raises InputError."""
    inputs = Inputs(paths)
    reader = Reader(catalogue, namespace, named=inputs.named)
    scan = Scan()
    note_inputs(inputs, scan)
    world = World(default_namespace=namespace)
    trial = Trial(Auditor(catalogue, policies, world, accept))
    waiting = [reader.read(file, scan) for file in inputs.files]
    for one in waiting:
        for subject in reader.subjects_of(one, scan):
            resource = subject.resource
            verdict = trial.take(resource)
            if reader.keeps(resource) and (verdict is None or verdict.allowed):
                world.put(resource)
    skipped_templates(scan)
    trial.conclude()
    return trial, scan
