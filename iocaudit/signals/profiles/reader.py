"""ActivityProfiles as they are written, in a cluster or in a file: read, or refused with every mistake in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from iocaudit.core.errors import IocauditError
from iocaudit.engine.bounds import FieldBounds, note_excess
from iocaudit.engine.fields import Fields, KnownFields, PathWriter, begin
from iocaudit.knowledge.clipping import clip
from iocaudit.signals.profiles.patterns import (
    ANY,
    host_pattern,
    image_pattern,
    path_pattern,
    port_range,
    resource_pattern,
)
from iocaudit.signals.profiles.profile import (
    ExpectedDestination,
    ExpectedProgram,
    ExpectedRequest,
    NamespaceProfile,
    ProfileEntry,
    ProfileMode,
)

KIND = "ActivityProfile"
FIELDS: KnownFields = {
    "": frozenset({"apiVersion", "kind", "metadata", "spec"}),
    "spec": frozenset({"accounts", "destinations", "mode", "processes"}),
    "spec.processes[]": frozenset({"executables", "image"}),
    "spec.destinations[]": frozenset({"ports", "to"}),
    "spec.accounts[]": frozenset({"account", "rules"}),
    "spec.accounts[].rules[]": frozenset({"resources", "verbs"}),
}
"""What an ActivityProfile may hold, as its CRD has it."""
BOUNDS: FieldBounds = {
    "spec.processes": 256,
    "spec.processes[].image": 512,
    "spec.processes[].executables": 256,
    "spec.processes[].executables[]": 512,
    "spec.destinations": 512,
    "spec.destinations[].to": 64,
    "spec.destinations[].to[]": 253,
    "spec.destinations[].ports": 64,
    "spec.accounts": 256,
    "spec.accounts[].account": 253,
    "spec.accounts[].rules": 64,
    "spec.accounts[].rules[].verbs": 9,
    "spec.accounts[].rules[].resources": 64,
    "spec.accounts[].rules[].resources[]": 253,
}
"""How much of each an ActivityProfile may hold, as its CRD has it."""
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
NAMESPACE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_Pattern = TypeVar("_Pattern")


class ProfileError(IocauditError):
    """An ActivityProfile cannot be used; names it and, one a line, each field and what is wrong with it."""


def read_profile(raw: Mapping[str, Any], place: PathWriter | None = None) -> NamespaceProfile:
    """Read an ActivityProfile; raises ProfileError. ``place`` says where in a file its fields stand."""
    name, problems = begin(KIND, raw, place)
    note_excess(raw, BOUNDS, problems)
    whole = Fields(raw, FIELDS, problems)
    metadata = raw.get("metadata")
    namespace = metadata.get("namespace") if isinstance(metadata, dict) else None
    if not isinstance(namespace, str) or not namespace:
        problems.add("metadata.namespace", "is required: a profile speaks for one namespace")
        namespace = ""
    elif not NAMESPACE.fullmatch(namespace):
        problems.add("metadata.namespace", f"{clip(repr(namespace))} is not the name of a namespace")
    spec = whole.map("spec", required=True)
    if not {"processes", "destinations", "accounts"} & spec.raw.keys():
        spec.wrong("says nothing: give processes, destinations or accounts")
    title = f"{namespace}/{name}"
    found = NamespaceProfile(
        name,
        namespace,
        spec.choice("mode", ProfileMode) or ProfileMode.WARN,
        tuple(_programs(spec, title)) if "processes" in spec.raw else None,
        tuple(_destinations(spec, title)) if "destinations" in spec.raw else None,
        tuple(_requests(spec, title)) if "accounts" in spec.raw else None,
    )
    problems.conclude(ProfileError)
    return found


def _programs(spec: Fields, title: str) -> Iterator[ExpectedProgram]:
    for process in spec.maps("processes"):
        text = process.text("image", required=True)
        image = _parsed(process, image_pattern, text, "image") if text else None
        for index, (shown, path) in enumerate(_each(process, "executables", path_pattern)):
            if image is not None and path is not None:
                entry = ProfileEntry(title, process.path_of("executables", index), f"{shown} of {text}")
                yield ExpectedProgram(entry, image, path)


def _destinations(spec: Fields, title: str) -> Iterator[ExpectedDestination]:
    for destination in spec.maps("destinations"):
        given = destination.values("ports")
        if "ports" in destination.raw and not given:
            destination.wrong("is empty: leave it out for any port", "ports")
        ports = [
            found
            for index, one in enumerate(given)
            if (found := _parsed(destination, port_range, one, "ports", index)) is not None
        ]
        shown_ports = f" port {', '.join(map(str, given))}" if given else ""
        for index, (shown, host) in enumerate(_each(destination, "to", host_pattern)):
            if host is not None:
                entry = ProfileEntry(title, destination.path_of("to", index), f"{shown}{shown_ports}")
                yield ExpectedDestination(entry, host, tuple(ports))


def _requests(spec: Fields, title: str) -> Iterator[ExpectedRequest]:
    for account in spec.maps("accounts"):
        user = account.text("account", required=True)
        if "*" in user or "?" in user:
            account.wrong("is one username as the API server knows it, not a glob", "account")
        rules = account.maps("rules")
        if not rules:
            account.wrong("needs at least one rule", "rules")
        for rule in rules:
            verbs = sorted(rule.words("verbs", (*VERBS, ANY)))
            if not verbs:
                rule.wrong("needs at least one verb", "verbs")
            for shown, resource in _each(rule, "resources", resource_pattern):
                for verb in verbs:
                    if resource is not None:
                        entry = ProfileEntry(title, rule.path_of(), f"{user}: {verb} {shown}")
                        yield ExpectedRequest(entry, user, verb, resource)


def _each(fields: Fields, name: str, parse: Callable[[str], _Pattern]) -> Iterator[tuple[str, _Pattern | None]]:
    found = fields.strings(name)
    if not found:
        fields.wrong("needs at least one item", name)
    for index, text in enumerate(found or ()):
        yield text, _parsed(fields, parse, text, name, index)


def _parsed(fields: Fields, parse: Callable[[Any], _Pattern], value: object, name: str, *index: int) -> _Pattern | None:
    """The pattern; None, and the mistake noted, where it cannot be read."""
    try:
        return parse(value)
    except ValueError as error:
        fields.wrong(f"{clip(repr(value))} {error}", name, *index)
        return None
