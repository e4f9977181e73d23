"""The module of ours that every query goes through: it asks many rules at once, and tells what is not there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

_MODULE = """\
package iocaudit.router.NAME

removed := input.request.oldObject if {
	input.request.operation == "DELETE"
}

# In the form that Gatekeeper's templates know, what a DELETE removes stands in its object.
object_of_review := {"object": removed} if {
	removed
} else := {}

namespace := {"namespaceObject": input.namespace, "_unstable": {"namespace": input.namespace}} if {
	input.namespace
} else := {}

review := object.union(input.request, object.union(namespace, object_of_review))

shared := {"request": input.request, "review": review, "object": review.object}

# A rule that is not loaded has no entry here; one without a violation has empty sets. Rules that are handed the same
# parameters are evaluated under one replacement of the input: each costs as much as a rule.
answers[index] := sets if {
	not input.inventory
	some group in input.asked
	found := {index: data.iocaudit.rules[name].sets | some index, name in group.rules} with input as handed(group)
	some index, value in found
	sets := told(value)
}

answers[index] := sets if {
	input.inventory
	some group in input.asked
	found := {index: data.iocaudit.rules[name].sets | some index, name in group.rules} with input as handed(group)
		with data.iocaudit.inventory as input.inventory
	some index, value in found
	sets := told(value)
}

handed(group) := object.union(shared, {"parameters": group.parameters})

told(found) := {name: {"set": is_set(value), "items": value} | some name, value in found}

# What any set holds: those who do not load look for their rules.
roots[name] := true if {
	some loaded in data.iocaudit.sets.loaded
	some policy in loaded.policies
	parts := split(policy, "/")
	parts[2] == "rules"
	name := parts[3]
}

is_loaded if input.revision == null

is_loaded if data.iocaudit.sets.loaded[input.revision]

answer := {"loaded": true, "revision": input.revision, "answers": answers} if {
	is_loaded
} else := {"loaded": false}
"""

NAME: Final = f"v{hashlib.sha256(_MODULE.encode()).hexdigest()[:16]}"
MODULE: Final = _MODULE.replace("NAME", NAME)
POLICY: Final = f"router/{NAME}"
"""The id of the module, below that of its owner."""
PACKAGE: Final = f"iocaudit.router.{NAME}"


def set_module(revision: str, owner: str, policies: Sequence[str], number: int) -> str:
    """The module that says what is loaded: a set of rules is there once this is."""
    held = json.dumps({"owner": owner, "policies": list(policies), "number": number}, ensure_ascii=False)
    return f"package iocaudit.sets\n\nloaded[{json.dumps(revision)}] := {held}\n"
