"""``--render``: what helm and kustomize make of charts and kustomizations.

These programs come from PATH and run on what is scanned: they are run on request only. What they rendered is judged in
that form alone: the files that it was made of are not judged again by themselves. Of kustomizations those are rendered
that no other one of the input takes, of charts those that are in no other chart.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from iocaudit.core.shape import mapping, text
from iocaudit.sources.documents import Document, Template, Unreadable, read_documents
from iocaudit.sources.kustomize import Kustomization, Kustomizations
from iocaudit.sources.origins import Pieces, TemplateLines, Written, own_document
from iocaudit.sources.progress import Progress
from iocaudit.sources.reading import Reader, Scan, Sourced, Waiting, name_of, note
from iocaudit.sources.running import output_of

_CHART = "Chart.yaml"
_ORIGIN = "config.kubernetes.io/origin"
_HELM_SOURCE = re.compile(r"^# Source: (.+?)\r?$", re.MULTILINE)
_SAID = re.compile(r"^(?:path|configuredIn): (.+)$", re.MULTILINE)


@dataclass(slots=True)
class Rendered:
    """What came out, and the files of the input that it was made of."""

    waiting: list[Waiting] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)


def render(
    files: Sequence[str],
    kustomizations: Kustomizations,
    values: Sequence[str],
    scan: Scan,
    reader: Reader,
    progress: Progress,
) -> Rendered:
    """Render every chart and every outermost kustomization, each once, and read what comes out into the world.

    ``values`` are files for helm. What cannot be rendered is unreadable, and its files are judged as they stand.
    """
    rendered = Rendered()
    charts = _charts(files, reader)
    roots = kustomizations.roots
    progress.stage("rendering", len(charts) + len(roots))
    for folder, (name, line) in charts.items():
        progress.step(folder)
        command = ["helm", "template", _argument(folder), *(part for file in values for part in ("--values", file))]
        outcome = output_of([command])
        inside = [file for file in files if _is_inside(file, folder)]
        if isinstance(outcome, Unreadable):
            note(outcome._replace(line=line), name, scan)
            rendered.covered.update(file for file in inside if _is_template(file, reader))
            continue
        rendered.covered.update(inside)
        rendered.waiting.append(reader.take_rendered(outcome, name, scan, _Chart(folder, files, reader).source))
    for root in roots:
        progress.step(root.folder)
        outcome, folder = _built(root)
        tree = kustomizations.tree(root)
        rendered.covered.update(one.file for one in tree)
        if isinstance(outcome, Unreadable):
            note(outcome._replace(line=root.line), root.file, scan)
            continue
        rendered.covered.update(file for one in tree for file in (*one.files, *(patch for patch, _ in one.patches)))
        sources = _Build(tree, folder, kustomizations)
        rendered.waiting.append(reader.take_rendered(outcome, root.file, scan, sources.source))
    return rendered


def _argument(path: str) -> str:
    """A path that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path


# -- charts ---------------------------------------------------------------------------------------------------


def _charts(files: Iterable[str], reader: Reader) -> dict[str, tuple[str, int]]:
    """The folders of charts that are in no other chart, each with the file and line to blame."""
    found: dict[str, tuple[str, int]] = {}
    for file in files:
        if os.path.basename(file) == _CHART:
            found.setdefault(os.path.dirname(file) or ".", (file, 1))
    for file in files:
        if not any(_is_inside(file, folder) for folder in found) and (template := _template(file, reader)) is not None:
            found.setdefault(template.folder, (name_of(file), template.line))
    outer = {folder for folder in found if not any(parent in found for parent in _charts_above(folder))}
    return {folder: place for folder, place in found.items() if folder in outer}


def _template(file: str, reader: Reader) -> Template | None:
    """The first template in a file that only helm can render."""
    data = reader.bytes_of(file)
    if isinstance(data, Unreadable) or b"{{" not in data:
        return None
    outcomes = read_documents(data, name_of(file), lambda _version, _kind: True, cache=reader.cache)
    return next((one for one in outcomes if isinstance(one, Template) and one.tool == "helm"), None)


def _is_template(file: str, reader: Reader) -> bool:
    return _template(file, reader) is not None


def _charts_above(folder: str) -> Iterator[str]:
    """The charts that render this one with them: it lies in their folder ``charts``."""
    while folder and folder != os.sep:
        folder, name = os.path.split(folder)
        if name == "charts":
            yield folder or "."


def _is_inside(file: str, chart: str) -> bool:
    """Whether a file is one that helm renders: a template of the chart, or of one in its folder ``charts``."""
    path = os.path.relpath(file, chart).split(os.sep) if file != "-" else [os.pardir]
    while len(path) > 2 and path[0] == "charts":
        path = path[2:]
    return path[0] == "templates" or (len(path) == 1 and path[0] == _CHART)


class _Chart:
    """Tells of each rendered document of a chart which template it comes from."""

    def __init__(self, folder: str, files: Iterable[str], reader: Reader) -> None:
        self._folder, self._reader = folder, reader
        self._files = {os.path.normpath(file): file for file in files}
        self._texts: dict[str, str] = {}

    def source(self, document: Document) -> Sourced:
        found = _HELM_SOURCE.findall(document.text)
        if not found:
            return Sourced(document, None, None)
        # The first part is the name of the chart, whatever its folder is called.
        path = os.path.normpath(os.path.join(self._folder, *found[-1].split("/")[1:]))
        file = self._files.get(path)
        if file is None:
            return Sourced(document, None, None)
        if file not in self._texts:
            data = self._reader.bytes_of(file)
            self._texts[file] = "" if isinstance(data, Unreadable) else data.decode("utf-8", "replace")
        name = text(mapping(document.value.get("metadata")).get("name"))
        return Sourced(document, file, TemplateLines(file, self._texts[file], text(document.value.get("kind")), name))


# -- kustomizations -------------------------------------------------------------------------------------------


def _built(root: Kustomization) -> tuple[bytes | Unreadable, str]:
    """What kustomize makes of a folder, and the folder that the paths of its sources start from.

    A kustomization of our own, in a folder of its own, asks for these: nothing is written where the user's files are.
    """
    programs = (["kustomize", "build"], ["kubectl", "kustomize"])
    plain = [[*program, _argument(os.path.dirname(root.file) or ".")] for program in programs]
    with tempfile.TemporaryDirectory(prefix="iocaudit-") as made:
        folder = os.path.realpath(made)
        taken = os.path.relpath(os.path.realpath(root.folder), folder)
        asked = {"resources": [taken], "buildMetadata": ["originAnnotations"]}
        with open(os.path.join(folder, "kustomization.yaml"), "w", encoding="utf-8") as file:
            json.dump(asked, file)
        outcome = output_of([[*program, folder] for program in programs], said=plain)
    if isinstance(outcome, Unreadable) and "buildMetadata" in outcome.reason:
        outcome = output_of(plain)  # older than that field
    return outcome, folder


class _Build:
    """Tells of each object that kustomize made which document and which patches it was made of."""

    def __init__(self, tree: Sequence[Kustomization], folder: str, kustomizations: Kustomizations) -> None:
        self._tree, self._folder, self._all = tree, folder, kustomizations

    def source(self, document: Document) -> Sourced:
        """Takes the note of kustomize out of the object on the way."""
        metadata = mapping(document.value.get("metadata"))
        annotations = mapping(metadata.get("annotations"))
        said = _SAID.search(text(annotations.get(_ORIGIN)))
        if _ORIGIN in annotations:
            left = {name: value for name, value in annotations.items() if name != _ORIGIN}
            kept = {name: value for name, value in metadata.items() if name != "annotations"}
            kept |= {"annotations": left} if left else {}
            document = document._replace(value={**document.value, "metadata": kept})
        if said is None:
            return Sourced(document, None, None)
        file = self._all.named(os.path.normpath(os.path.join(self._folder, said[1].strip("\"'"))))
        if file is None:
            return Sourced(document, None, None)
        kind, name = text(document.value.get("kind")), text(metadata.get("name"))
        own = own_document(self._all.documents(file), kind, name)
        if own is None:
            return Sourced(document, file, None)
        patches = [
            Written(patch, one)
            for kustomization in self._tree
            for patch, target in kustomization.patches
            for one in self._all.documents(patch)
            if self._all.changes(one, target, own)
        ]
        return Sourced(document, file, Pieces(Written(file, own), patches))
