"""What the cluster's report says of the rules in ConfigMaps: which are in force, of what version, and what is wrong."""

from __future__ import annotations

from typing import Final

from iocaudit.core.shape import Json
from iocaudit.engine.languages.rule import Language, Rule
from iocaudit.engine.languages.rule_fields import config_map_of, key_of
from iocaudit.knowledge.clipping import clip
from iocaudit.live.engines import Engines
from iocaudit.live.modules import ModuleProblem
from iocaudit.live.rulebook import Rulebook
from iocaudit.sinks.escape import visible

LOADED, KEPT, REFUSED, FAILING = "Loaded", "Kept", "Refused", "Failing"
MOST: Final = 500
"""How many keys of ConfigMaps a report tells of."""
_LONGEST_REASON = 1024
_LONGEST_TEXT = 4096
_MOST_TEXT = 256 * 1024
"""Of all converted texts together: an object of a cluster may have 1.5 MiB."""
_TOO_MUCH = "it is converted; the text is left out, as there is too much of it"


def rule_states(book: Rulebook, engines: Engines) -> list[Json]:
    """One entry a rule, and one for each key that holds none as it is broken; by ConfigMap and key."""
    problems = {(one.config_map, one.key): one for one in book.problems}
    converted = engines.converted(book.module_rules)
    found, size = [], 0
    for rule in book.module_rules:
        problem = problems.pop((config_map_of(rule.where), key_of(rule.where)), None)
        state = _of_rule(rule, book.revisions.get(rule.id, ""), problem, engines)
        if text := converted.get(rule.id):
            size += len(text)
            state["converted"] = clip(text, _LONGEST_TEXT) if size <= _MOST_TEXT else _TOO_MUCH
        found.append(state)
    found += map(_refused, problems.values())
    return sorted(found, key=lambda one: (one["configMap"], one["key"]))[:MOST]


def _of_rule(rule: Rule, revision: str, problem: ModuleProblem | None, engines: Engines) -> Json:
    state: Json = {
        "id": rule.id,
        "configMap": config_map_of(rule.where),
        "key": key_of(rule.where),
        "revision": revision,
        "state": LOADED,
    }
    if problem is not None:
        return state | {"state": KEPT if problem.kept else REFUSED, "reason": _reason(problem.reason)}
    if why := engines.trouble.get(Language.REGO) or engines.failing.get(rule.id):
        return state | {"state": FAILING, "reason": _reason(why)}
    return state


def _refused(problem: ModuleProblem) -> Json:
    return {
        "configMap": problem.config_map,
        "key": problem.key,
        "state": KEPT if problem.kept else REFUSED,
        "reason": _reason(problem.reason),
    }


def _reason(text: str) -> str:
    return clip(visible(text), _LONGEST_REASON)
