"""A policy tried on files, in the order in which ``kubectl apply -R -f`` would make their objects.

What is denied is not there for what comes after it.
"""

from __future__ import annotations

from collections.abc import Iterable

from iocaudit.core.request import Request
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor, HitAcceptor
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.languages.asking import AnswerSource
from iocaudit.engine.policy_set import PolicySet
from iocaudit.impact.trial import ANYBODY, Trial
from iocaudit.scanning.reading import Reader, Scan, note_inputs, skipped_templates
from iocaudit.sources.files import Inputs


def try_files(
    paths: Iterable[str],
    catalogue: Catalogue,
    policies: PolicySet,
    accept: HitAcceptor | None,
    namespace: str,
    everything: World | None = None,
    *,
    request: Request | None = None,
    answers: AnswerSource | None = None,
) -> tuple[Trial, Scan]:
    """Try every object of the given files; the scan says what could not be read. Raises InputError.

    ``everything`` gets all that the files hold, what is denied included. ``answers`` are those of rules.
    """
    inputs = Inputs(paths)
    reader = Reader(catalogue, namespace, named=inputs.named)
    scan = Scan()
    note_inputs(inputs, scan)
    world = World(default_namespace=namespace)
    trial = Trial(Auditor(catalogue, policies, world, accept, answers), request or ANYBODY)
    waiting = [reader.read(file, scan) for file in inputs.files]
    for one in waiting:
        for subject in reader.subjects_of(one, scan):
            resource = subject.resource
            verdict = trial.take(resource)
            if reader.keeps(resource) and (verdict is None or verdict.allowed):
                world.put(resource)
            if everything is not None and reader.keeps(resource):
                everything.put(resource)
    skipped_templates(scan)
    trial.conclude()
    return trial, scan
