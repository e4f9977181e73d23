"""The pods of an Argo workflow: its templates, over its templateDefaults, with what the workflow says for all of them.

Source: argo-workflows, workflow/controller/workflowpod.go (createWorkflowPod, addSchedulingConstraints,
addVolumeReferences, setupServiceAccount, PodSpecPatchMerge) and the types of pkg/apis/workflow/v1alpha1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from iocaudit.core.resource import Resource
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.knowledge.pods.composed.layers import Allowance, Layers, MovedPaths, item_path, real, took
from iocaudit.knowledge.pods.composed.patch_text import UnreadableTextError, read_patch
from iocaudit.knowledge.pods.composed.volumes import share_volumes
from iocaudit.knowledge.pods.pod import MistypedPart, PodSpec

_BODIES = ("container", "script", "containerSet", "resource", "data")
"""What makes a template one that runs in a pod of its own."""
_OTHERS = ("steps", "dag", "suspend", "http", "plugin")
"""What makes it one that does not."""
_LISTS = ("initContainers", "sidecars")
_OF_WORKFLOW = (
    "affinity",
    "automountServiceAccountToken",
    "dnsConfig",
    "dnsPolicy",
    "hostAliases",
    "hostNetwork",
    "nodeSelector",
    "schedulerName",
    "securityContext",
    "serviceAccountName",
    "tolerations",
)
"""What the workflow says for every template that does not say it itself."""
_WHOLE = (*_OF_WORKFLOW, "podMetadata", "podSpecPatch", "volumes")
_OWN = frozenset({"init", "wait"})
"""Argo's own containers, which a patch may only touch."""
_TRIFLES = frozenset({"name", "resources", "image", "imagePullPolicy"})
_PATCH = "podSpecPatch"


class _Part(NamedTuple):
    """A container: what it is, the list it counts as standing in, and its path in the composed pod."""

    raw: Json
    list_name: str
    path: str


def workflow_pods(resource: Resource, spec: Json, path: str) -> Iterator[PodSpec]:
    """The pods of the WorkflowSpec ``spec``, which stands at ``path``.

    One whose templates all stand elsewhere (workflowTemplateRef) has one pod without containers, for what it says.
    """
    given = spec.get("templateDefaults")
    defaults = mapping(given)
    templates = spec.get("templates")
    shared = _SharedParts(spec, path)
    pods = [
        _Composer(resource, shared, template, item_path(f"{path}.templates", template, index)).pod(defaults)
        for index, template in enumerate(templates if isinstance(templates, list) else ())
        if isinstance(template, dict) and not any(template.get(other) is not None for other in _OTHERS)
    ]
    if not pods and (isinstance(given, dict) or any(spec.get(name) is not None for name in _WHOLE)):
        if isinstance(given, dict):
            pods.append(_Composer(resource, shared, dict(defaults), f"{path}.templateDefaults").pod({}))
        else:
            pods.append(_Composer(resource, shared, {}, path).pod({}))
    share_volumes(pods, spec.get("volumes"), f"{path}.volumes", shared.allowance)
    yield from pods


class _SharedParts:
    """What the pods of one workflow have in common: ``spec`` at ``at``, each text of a patch read once."""

    def __init__(self, spec: Json, at: str) -> None:
        self.spec = spec
        self.at = at
        self.allowance = Allowance()
        self._read: dict[str, Json | UnreadableTextError] = {}

    def patch(self, text: str) -> Json:
        """Raises UnreadableTextError."""
        found = self._read.get(text)
        if found is None:
            try:
                found = read_patch(text)
            except UnreadableTextError as error:
                found = error
            self._read[text] = found
        if isinstance(found, UnreadableTextError):
            raise found
        return found


class _Composer:
    def __init__(self, resource: Resource, shared: _SharedParts, template: Json, at: str) -> None:
        self._resource = resource
        self._shared = shared
        self._workflow = shared.spec
        self._workflow_at = shared.at
        self._template = template
        self._at = at
        self._moved: MovedPaths = {}
        self._layers = Layers(self._moved, shared.allowance)
        self._problems: list[MistypedPart] = []

    def pod(self, defaults: Mapping[str, Any]) -> PodSpec:
        at = self._at
        given = {name: value for name, value in defaults.items() if name not in _BODIES or name in self._template}
        under = f"{self._workflow_at}.templateDefaults"
        spec = self._layers.beneath(self._template, at, given, under) if given else dict(self._template)
        for name in _OF_WORKFLOW:
            if spec.get(name) in (None, [], {}, "") and self._workflow.get(name) is not None:
                self._shared.allowance.take_whole(self._workflow[name])
                spec[name] = self._workflow[name]
                if at != self._workflow_at:
                    self._moved[f"{at}.{name}"] = f"{self._workflow_at}.{name}"
        if at == self._workflow_at:
            spec.pop("volumes", None)  # they come with those of the workflow
        parts = list(self._parts(spec))
        # The workflow's patch first: what the template's sets besides wins.
        patches = [(self._workflow.get(_PATCH), f"{self._workflow_at}.{_PATCH}")]
        if at != self._workflow_at:
            patches.append((spec.get(_PATCH), real(f"{at}.{_PATCH}", self._moved)))
        for patch, patch_at in patches:
            if patch not in (None, ""):
                spec = self._patched(spec, parts, patch, patch_at)
        pod = PodSpec(self._resource, spec, at, self._metadata(spec), f"{at}.metadata", self._moved)
        pod.problems += self._problems
        for part in parts:
            pod.add(part.raw, part.list_name, part.path)
        return pod

    def _metadata(self, spec: Json) -> Json:
        own = spec.get("metadata")
        whole = mapping(self._workflow.get("podMetadata"))
        if self._at == self._workflow_at:
            self._moved[f"{self._at}.metadata"] = f"{self._at}.podMetadata"
            return dict(whole)
        own = own if isinstance(own, dict) else {}
        metadata_at = f"{self._at}.metadata"
        return self._layers.beneath(own, metadata_at, whole, f"{self._workflow_at}.podMetadata") if whole else own

    def _parts(self, spec: Json) -> Iterator[_Part]:
        """The containers; what is not a container is reported."""
        at = self._at
        for name in ("container", "script"):
            if isinstance(single := spec.get(name), dict):
                yield _Part(single, name, f"{at}.{name}")
        group = mapping(spec.get("containerSet"))
        shared = mappings(group.get("volumeMounts"))
        for raw, path in self._items(group.get("containers"), f"{at}.containerSet.containers"):
            own = mappings(raw.get("volumeMounts"))
            self._shared.allowance.take_whole(shared)
            for index, mount in enumerate(shared):
                place = len(own) + index
                took(self._moved, f"{path}.volumeMounts", place, f"{at}.containerSet.volumeMounts", index, mount)
            yield _Part({**raw, "volumeMounts": [*own, *shared]} if shared else raw, "containers", path)
        for name in _LISTS:
            for raw, path in self._items(spec.get(name), f"{at}.{name}"):
                yield _Part(raw, name, path)

    def _items(self, value: object, path: str) -> Iterator[tuple[Json, str]]:
        if value is not None and not isinstance(value, list):
            self._problems.append(MistypedPart(path, "a list of containers"))
        for index, item in enumerate(value if isinstance(value, list) else ()):
            if isinstance(item, dict):
                yield item, item_path(path, item, index)
            else:
                self._problems.append(MistypedPart(f"{path}[{index}]", "a container"))

    def _patched(self, spec: Json, parts: list[_Part], patch: object, patch_at: str) -> Json:
        try:
            read = dict(self._shared.patch(patch)) if isinstance(patch, str) else {}
        except UnreadableTextError as error:
            self._problems.append(MistypedPart(patch_at, f"a patch that can be read here ({error})"))
            return spec
        if not isinstance(patch, str) or "$patch" in patch or "$retainKeys" in patch:
            self._problems.append(MistypedPart(patch_at, "a plain patch of a pod's spec"))
            return spec
        self._moved.setdefault(patch_at, patch_at)
        places: dict[tuple[str, bool], int] = {}
        for place, part in enumerate(parts):
            name = text(part.raw.get("name")) or ("main" if part.list_name in ("container", "script") else "")
            places.setdefault((name, part.list_name == "initContainers"), place)
        for name in ("containers", "initContainers", "ephemeralContainers"):
            for index, item in enumerate(mappings(read.pop(name, None))):
                there = item_path(f"{patch_at}.{name}", item, index)
                self._patch_container(parts, places, item, name, there)
        return self._layers.patched(spec, self._at, read, patch_at)

    def _patch_container(
        self, parts: list[_Part], places: dict[tuple[str, bool], int], patch: Json, list_name: str, patch_at: str
    ) -> None:
        wanted = text(patch.get("name")), list_name == "initContainers"
        place = places.get(wanted)
        if place is not None:
            part = parts[place]
            parts[place] = part._replace(raw=self._layers.patched(part.raw, part.path, patch, patch_at))
        elif wanted[0] not in _OWN or not patch.keys() <= _TRIFLES:
            self._shared.allowance.take_whole(patch)
            places[wanted] = len(parts)
            parts.append(_Part(patch, list_name, patch_at))
