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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from iocaudit.core.shape import mapping, text
from iocaudit.scanning.origins import Pieces, SourceDocument, TemplateLines, own_document
from iocaudit.scanning.progress import Progress
from iocaudit.scanning.reading import PendingFile, Reader, Scan, SourcedDocument, name_of, note
from iocaudit.scanning.running import output_of
from iocaudit.sources.documents import Document, ReadFailure, Template, read_documents
from iocaudit.sources.kustomize import Kustomization, Kustomizations

_CHART = "Chart.yaml"
_ORIGIN = "config.kubernetes.io/origin"
_HELM_SOURCE = re.compile(r"^# Source: (.+?)\r?$", re.MULTILINE)
_SAID = re.compile(r"^(?:path|configuredIn): (.+)$", re.MULTILINE)


@dataclass(slots=True)
class RenderOutput:
    """What came out, and the files of the input that it was made of."""

    waiting: list[PendingFile] = field(default_factory=list)
    covered: set[str] = field(default_factory=set)


def render(
    files: Sequence[str],
    kustomizations: Kustomizations,
    values: Sequence[str],
    scan: Scan,
    reader: Reader,
    progress: Progress,
) -> RenderOutput:
    """Render every chart and every outermost kustomization, each once, and read what comes out into the world.

    ``values`` are files for helm. What cannot be rendered is unreadable, and its files are judged as they stand.
    """
    rendered = RenderOutput()
    paths = _Paths(files)
    charts = _charts(files, paths, reader)
    roots = kustomizations.roots
    progress.stage("rendering", len(charts) + len(roots))
    for folder, (name, line) in charts.items():
        progress.step(folder)
        command = ["helm", "template", _argument(folder), *(part for file in values for part in ("--values", file))]
        outcome = output_of([command])
        inside = [file for file in files if paths.is_of_chart(file, folder)]
        if isinstance(outcome, ReadFailure):
            note(outcome._replace(line=line), name, scan)
            rendered.covered.update(file for file in inside if _template(file, reader) is not None)
            continue
        rendered.covered.update(inside)
        rendered.waiting.append(reader.take_rendered(outcome, name, scan, _Chart(folder, paths.by_path, reader).source))
    for root in roots:
        progress.step(root.folder)
        outcome, folder = _built(root)
        tree = kustomizations.tree(root)
        rendered.covered.update(one.file for one in tree)
        if isinstance(outcome, ReadFailure):
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


class _Paths:
    """The files of an input by what leads to them: of each chart it is asked which of them are its own."""

    def __init__(self, files: Sequence[str]) -> None:
        self.by_path = {os.path.normpath(file): file for file in files}
        self._parts = {file: _parts(file) for file in files if file != "-"}

    def is_of_chart(self, file: str, chart: str) -> bool:
        """Whether a file is one that helm renders: a template of the chart, or of one in its folder ``charts``."""
        path, folder = self._parts.get(file), _parts(chart)
        if path is None or path[: len(folder)] != folder:
            return False
        rest = path[len(folder) :]
        while len(rest) > 2 and rest[0] == "charts":
            rest = rest[2:]
        return rest[:1] == ("templates",) or rest == (_CHART,)


@lru_cache(maxsize=4096)
def _parts(path: str) -> tuple[str, ...]:
    """The names that lead to a path from the root."""
    return tuple(name for name in os.path.abspath(path).split(os.sep) if name)


def _charts(files: Iterable[str], paths: _Paths, reader: Reader) -> dict[str, tuple[str, int]]:
    """The folders of charts that are in no other chart, each with the file and line to blame."""
    found: dict[str, tuple[str, int]] = {}
    for file in files:
        if os.path.basename(file) == _CHART:
            found.setdefault(os.path.dirname(file) or ".", (file, 1))
    for file in files:
        if (
            not any(paths.is_of_chart(file, folder) for folder in found)
            and (template := _template(file, reader)) is not None
        ):
            found.setdefault(template.folder, (name_of(file), template.line))
    outer = {folder for folder in found if not any(parent in found for parent in _charts_above(folder))}
    return {folder: place for folder, place in found.items() if folder in outer}


def _template(file: str, reader: Reader) -> Template | None:
    """The first template in a file that only helm can render."""
    data = reader.bytes_of(file)
    if isinstance(data, ReadFailure) or b"{{" not in data:
        return None
    outcomes = read_documents(data, name_of(file), lambda _version, _kind: True, cache=reader.cache)
    return next((one for one in outcomes if isinstance(one, Template) and one.tool == "helm"), None)


def _charts_above(folder: str) -> Iterator[str]:
    """The charts that render this one with them: it lies in their folder ``charts``."""
    while folder and folder != os.sep:
        folder, name = os.path.split(folder)
        if name == "charts":
            yield folder or "."


class _Chart:
    """Tells of each rendered document of a chart which template it comes from."""

    def __init__(self, folder: str, files: Mapping[str, str], reader: Reader) -> None:
        self._folder, self._reader, self._files = folder, reader, files
        self._texts: dict[str, str] = {}

    def source(self, document: Document) -> SourcedDocument:
        found = _HELM_SOURCE.findall(document.text)
        if not found:
            return SourcedDocument(document, None, None)
        # The first part is the name of the chart, whatever its folder is called.
        path = os.path.normpath(os.path.join(self._folder, *found[-1].split("/")[1:]))
        file = self._files.get(path)
        if file is None:
            return SourcedDocument(document, None, None)
        if file not in self._texts:
            data = self._reader.bytes_of(file)
            self._texts[file] = "" if isinstance(data, ReadFailure) else data.decode("utf-8", "replace")
        name = text(mapping(document.value.get("metadata")).get("name"))
        return SourcedDocument(
            document, file, TemplateLines(file, self._texts[file], text(document.value.get("kind")), name)
        )


# -- kustomizations -------------------------------------------------------------------------------------------


def _built(root: Kustomization) -> tuple[bytes | ReadFailure, str]:
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
    if isinstance(outcome, ReadFailure) and "buildMetadata" in outcome.reason:
        outcome = output_of(plain)  # older than that field
    return outcome, folder


class _Build:
    """Tells of each object that kustomize made which document and which patches it was made of."""

    def __init__(self, tree: Sequence[Kustomization], folder: str, kustomizations: Kustomizations) -> None:
        self._tree, self._folder, self._all = tree, folder, kustomizations

    def source(self, document: Document) -> SourcedDocument:
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
            return SourcedDocument(document, None, None)
        file = self._all.named(os.path.normpath(os.path.join(self._folder, said[1].strip("\"'"))))
        if file is None:
            return SourcedDocument(document, None, None)
        kind, name = text(document.value.get("kind")), text(metadata.get("name"))
        own = own_document(self._all.documents(file), kind, name)
        if own is None:
            return SourcedDocument(document, file, None)
        patches = [
            SourceDocument(patch, one)
            for kustomization in self._tree
            for patch, target in kustomization.patches
            for one in self._all.documents(patch)
            if self._all.changes(one, target, own)
        ]
        return SourcedDocument(document, file, Pieces(SourceDocument(file, own), patches))
