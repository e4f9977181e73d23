"""Files of policy tests read, or refused with every mistake in them."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any, NamedTuple

from iocaudit.core import paths
from iocaudit.core.check import PROFILES, Check
from iocaudit.core.errors import IocauditError, PathSyntaxError
from iocaudit.core.json_patch import apply, patch_of
from iocaudit.core.kinds import Kind
from iocaudit.core.kinds.ours import API_VERSION as OURS
from iocaudit.core.repair import Edit, Repair, UnfixableError
from iocaudit.core.request import Operation
from iocaudit.core.resource import Origin, Resource
from iocaudit.core.shape import Json, mapping, text
from iocaudit.engine.catalogue import Catalogue
from iocaudit.engine.fields import FieldProblems, Fields, KnownFields, nearest
from iocaudit.engine.languages.asking import Compile
from iocaudit.engine.policy import Policy
from iocaudit.engine.policy_reader import read_policy, with_rules
from iocaudit.engine.policy_set import PolicySet
from iocaudit.engine.waiver_reader import read_waiver
from iocaudit.engine.waivers import Waiver, Waivers
from iocaudit.impact.policy_tests.expectations import known_fields, read_expectation
from iocaudit.impact.policy_tests.model import (
    API_VERSION,
    KIND,
    Expectation,
    FileLine,
    PolicyTestCase,
    PolicyTestError,
    PolicyTestSuite,
    ReadSuites,
)
from iocaudit.impact.policy_tests.objects import (
    ENDINGS,
    GivenObject,
    ObjectError,
    ObjectFiles,
    files_below,
    is_test_file,
    located,
    unpacked,
)
from iocaudit.impact.policy_tests.requests import FIELDS as REQUEST_FIELDS
from iocaudit.impact.policy_tests.requests import GivenRequest, RequestError, read_request, review_of
from iocaudit.knowledge.clipping import clip
from iocaudit.scanning.policy_files import read_policy_files, with_rules_of
from iocaudit.sources.admission_review import Review
from iocaudit.sources.documents import Document, ReadFailure, Template, is_object, read_documents
from iocaudit.sources.files import Inputs, read_bytes
from iocaudit.sources.lines import LineTable

_CASE = frozenset({"expect", "name", "object", "objects", "oldObject", "remove", "request", "set", "world"})


def _case_fields(at: str) -> KnownFields:
    return {f"{at}.request": REQUEST_FIELDS, **known_fields(f"{at}.expect")}


FIELDS: KnownFields = {
    "": frozenset(
        {"apiVersion", "kind", "metadata", "now", "policies", "profile", "request", "tests", "waivers", "world"}
    ),
    "metadata": frozenset({"annotations", "labels", "name"}),
    "request": REQUEST_FIELDS,
    "tests[]": _CASE | {"cases"},
    **_case_fields("tests[]"),
    "tests[].cases[]": _CASE,
    **_case_fields("tests[].cases[]"),
}
"""What a file of tests may hold, as its schema has it."""
_LONGEST_TIME = 40


def read_suites(paths: Iterable[str], catalogue: Catalogue, compile_rules: Compile | None = None) -> ReadSuites:
    """The tests in files and folders; ``compile_rules`` says which rules of their policies are broken.

    Raises InputError for a path that is not there.
    """
    found = ReadSuites()
    files = ObjectFiles()
    for path in paths:
        for file in _test_files(path, found):
            _read_file(file, catalogue, files, found, compile_rules)
    return found


def _test_files(path: str, found: ReadSuites) -> Iterator[str]:
    """The file, or those in a folder by their names; a test that its name would keep from being run is a mistake."""
    inputs = Inputs([path])
    found.unusable += (f"{one.path}: {one.reason}" for one in inputs.unreadable)
    if inputs.named:
        yield from inputs.files
        return
    tests = [file for file in inputs.files if is_test_file(file)]
    yield from tests
    hidden = [file for file in inputs.files if file not in tests and _holds_tests(file)]
    found.unusable += (
        f"{file}: holds a {KIND}, and would not be run: name it {_renamed(file)}, or name it on the command line"
        for file in hidden
    )
    if not tests and not hidden:
        found.unusable.append(f"{path}: holds no file of tests (*{ENDINGS[0]})")


def _renamed(file: str) -> str:
    return posixpath.splitext(os.path.basename(file))[0] + ENDINGS[0]


def _holds_tests(file: str) -> bool:
    data = read_bytes(file)
    if isinstance(data, ReadFailure) or KIND.encode() not in data:
        return False
    outcomes = read_documents(data, file, lambda _version, kind: kind == KIND)
    return any(isinstance(one, Document) and one.value["kind"] == KIND for one in outcomes)


def _read_file(
    file: str, catalogue: Catalogue, files: ObjectFiles, found: ReadSuites, compile_rules: Compile | None
) -> None:
    data = read_bytes(file, named=True)
    outcomes = [data] if isinstance(data, ReadFailure) else read_documents(data, file, lambda _version, _kind: True)
    shown = "<stdin>" if file == "-" else file
    before = len(found.suites) + len(found.unusable)
    for outcome in outcomes:
        line = getattr(outcome, "line", None)
        if isinstance(outcome, Document):
            try:
                found.suites.append(_SuiteReader(shown, outcome, catalogue, files, compile_rules).read())
            except PolicyTestError as error:
                found.unusable += str(error).splitlines()
            continue
        reason = (
            outcome.reason
            if isinstance(outcome, ReadFailure | Template)
            else f"a document without apiVersion and kind is not a {KIND} of {API_VERSION}"
        )
        found.unusable.append(f"{shown}{f':{line}' if line else ''}: {reason}")
    if len(found.suites) + len(found.unusable) == before:
        found.unusable.append(f"{shown}: holds no {KIND} of {API_VERSION}")


def _edited(raw: Json, edits: Iterable[Edit], done: set[str]) -> Json:
    """The object with the changes; raises UnfixableError for the first that does not fit.

    ``done`` gets the paths at which there was something to remove.
    """
    for edit in edits:
        try:
            patch = patch_of(raw, "", Repair((edit,)))
            raw = apply(raw, patch)
        except UnfixableError as error:
            raise UnfixableError(f"{edit.op} {edit.path}: {error}") from error
        if edit.op == "remove" and patch:
            done.add(edit.path)
    return raw


class _CaseText(NamedTuple):
    """What a test, or a case of it, says; None is what a case leaves to its test."""

    objects: tuple[GivenObject, ...] | None
    old: GivenObject | None
    request: GivenRequest
    edits: tuple[Edit, ...]
    expected: Expectation | None
    world: tuple[Resource, ...]

    def within(self, outer: _CaseText) -> _CaseText:
        objects = self.objects if self.objects is not None else outer.objects
        return _CaseText(
            objects,
            # Another object has another past.
            self.old or (outer.old if self.objects is None else None),
            self.request.within(outer.request),
            (*(outer.edits if self.objects is None else ()), *self.edits),
            self.expected or outer.expected,
            (*outer.world, *self.world),
        )


class _SuiteReader:
    """Reads one document."""

    def __init__(
        self,
        file: str,
        document: Document,
        catalogue: Catalogue,
        files: ObjectFiles,
        compile_rules: Compile | None,
    ) -> None:
        self._file, self._document = file, document
        self._shipped = self._catalogue = catalogue
        self._files, self._compile = files, compile_rules
        self._folder = os.path.dirname(file) if file != "<stdin>" else ""
        raw = document.value
        name = text(mapping(raw.get("metadata")).get("name"))
        self._name = name or os.path.basename(file)
        self._problems = FieldProblems(f"{KIND} {name}" if name else KIND, self._place)
        self._elsewhere: list[str] = []
        """Mistakes in other files, which name those themselves."""
        self._places: dict[str, str] = {}

    @cached_property
    def _lines(self) -> LineTable:
        return LineTable.of(self._document)

    def _place(self, path: str) -> str:
        return f"{self._file}:{self._lines.line(path)}"

    def _place_of(self, path: str) -> FileLine:
        return FileLine(self._file, self._lines.line(path))

    def read(self) -> PolicyTestSuite:
        """The suite; raises PolicyTestError with all that is wrong in it and in the files that it names."""
        raw = self._document.value
        if (raw["apiVersion"], raw["kind"]) != (API_VERSION, KIND):
            raise PolicyTestError(self._not_a_test(raw))
        fields = Fields(raw, FIELDS, self._problems)
        fields.map("metadata").text("name")
        now = self._now(fields)
        policies, waivers = self._policies(fields, now)
        profile = fields.word("profile", PROFILES) or "default"
        base = _CaseText(None, None, read_request(fields.map("request")), (), None, ())
        world = self._world(fields)
        cases = list(self._cases(fields, base))
        self._conclude()
        accept = Waivers(waivers, longest=None).acceptor(lambda: now) if waivers else None
        return PolicyTestSuite(
            self._name,
            self._place_of(""),
            PolicySet(self._shipped, tuple(policies), profile),
            tuple(cases),
            self._places,
            world,
            tuple(waivers),
            accept,
        )

    def _conclude(self) -> None:
        lines: list[str] = []
        try:
            self._problems.conclude(PolicyTestError)
        except PolicyTestError as error:
            lines = str(error).splitlines()
        if lines or self._elsewhere:
            raise PolicyTestError("\n".join([*lines, *self._elsewhere]))

    def _not_a_test(self, raw: Json) -> str:
        given, where = clip(f"{raw['kind']} of {raw['apiVersion']}"), self._place("")
        if raw["kind"] == KIND:
            return f"{where}: a {KIND} has apiVersion {API_VERSION}, not {clip(repr(raw['apiVersion']))}"
        hint = nearest(raw["kind"], [KIND])
        advice = "; name it under policies, waivers, world or object" if not hint else ""
        return f"{where}: {given} is not a {KIND} of {API_VERSION}{hint}{advice}"

    def _now(self, fields: Fields) -> datetime:
        value = fields.text("now")
        if not value:
            return datetime.now(UTC)
        try:
            found = datetime.fromisoformat(value) if len(value) <= _LONGEST_TIME else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            fields.wrong(f"{clip(repr(value))} is not a time such as 2026-12-01T00:00:00Z", "now")
            return datetime.now(UTC)
        return found

    # -- policies and waivers ---------------------------------------------------------------------------

    def _policies(self, fields: Fields, now: datetime) -> tuple[list[Policy], list[Waiver]]:
        self._catalogue = self._with_rules(fields)
        policies: list[Policy] = []
        waivers: list[Waiver] = []
        names: set[tuple[str, str]] = set()
        for field, wanted in (("policies", "AuditPolicy"), ("waivers", "IocWaiver")):
            for index, item in enumerate(fields.values(field)):
                for raw, place in self._ours(fields, field, index, item, wanted):
                    identity = (raw["kind"], text(mapping(raw.get("metadata")).get("name")))
                    if identity in names:
                        fields.wrong(f"{' '.join(identity)} is there twice", field, index)
                        continue
                    names.add(identity)
                    try:
                        if raw["kind"] == "AuditPolicy":
                            policies.append(read_policy(raw, self._catalogue, place, compile_rules=self._compile))
                            self._places[identity[1]] = place("")
                        else:
                            waivers.append(read_waiver(raw, self._catalogue, stored=False, now=now, place=place))
                    except IocauditError as error:
                        self._elsewhere += str(error).splitlines()
        return policies, waivers

    def _with_rules(self, fields: Fields) -> Catalogue:
        """The checks that its policies may name: each of them the rules that another declares, too."""
        found = self._shipped
        for item in fields.values("policies"):
            try:
                if isinstance(item, str):
                    found = with_rules_of(tuple(files_below(located(item, self._folder))), found)
                elif isinstance(item, dict):
                    found = with_rules([item], found)
            except IocauditError:
                continue  # it is told where the item is read
        return found

    def _ours(
        self, fields: Fields, field: str, index: int, item: Any, wanted: str
    ) -> Iterator[tuple[Json, Callable[[str], str]]]:
        """The policies and waivers of an item, each with what says where its fields stand."""
        if isinstance(item, str):
            try:
                path = located(item, self._folder)
                read = read_policy_files(tuple(files_below(path)), self._catalogue, self._compile)
            except ObjectError as error:
                fields.wrong(str(error), field, index)
                return
            except IocauditError as error:
                self._elsewhere += str(error).splitlines()
                return
            if not any(one.raw["kind"] == wanted for one in read):
                fields.wrong(f"{path} holds no {wanted}", field, index)
            for one in read:
                yield one.raw, one.place
        elif not isinstance(item, dict):
            fields.wrong("is not the path of a file, nor an object", field, index)
        elif item.get("apiVersion") != OURS or item.get("kind") != wanted:
            given = clip(f"{item.get('kind')} of {item.get('apiVersion')}")
            fields.wrong(f"{given} is not an {wanted} of {OURS}", field, index)
        else:
            yield item, partial(self._place_below, fields.path_of(field, index))

    def _place_below(self, base: str, path: str) -> str:
        return self._place(base + path if path.startswith("[") or not path else f"{base}.{path}")

    # -- tests ------------------------------------------------------------------------------------------

    def _cases(self, fields: Fields, base: _CaseText) -> Iterator[PolicyTestCase]:
        tests = fields.maps("tests")
        if not tests:
            fields.wrong("names no test", "tests")
        names: set[str] = set()
        for test in tests:
            name = self._new_name(test, names)
            given = self._given(test).within(base)
            if "cases" not in test.raw:
                yield from self._case(test, name, given)
                continue
            cases = test.maps("cases")
            if not cases:
                test.wrong("names no case", "cases")
            below: set[str] = set()
            for case in cases:
                whole = f"{name} / {self._new_name(case, below)}"
                yield from self._case(case, whole, self._given(case).within(given))

    @staticmethod
    def _new_name(fields: Fields, names: set[str]) -> str:
        name = fields.text("name", required=True)
        if name and name in names:
            fields.wrong(f"{clip(repr(name))} is the name of another one here", "name")
        names.add(name)
        return name

    def _given(self, fields: Fields) -> _CaseText:
        objects: tuple[GivenObject, ...] | None = None
        if "object" in fields.raw and "objects" in fields.raw:
            fields.wrong("give object or objects, and not both", "objects")
        if "object" in fields.raw:
            objects = self._single(fields, "object")
        elif "objects" in fields.raw:
            items = fields.values("objects")
            if not items and isinstance(fields.raw["objects"], list):
                fields.wrong("names no object", "objects")
            found = (self._objects(fields, item, "objects", index) for index, item in enumerate(items))
            objects = tuple(one for each in found for one in each)
        old = self._single(fields, "oldObject") if "oldObject" in fields.raw else ()
        return _CaseText(
            objects,
            old[0] if old else None,
            read_request(fields.map("request")),
            self._edits(fields),
            read_expectation(fields, self._catalogue),
            self._world(fields),
        )

    def _single(self, fields: Fields, name: str) -> tuple[GivenObject, ...]:
        found = self._objects(fields, fields.value(name), name)
        if len(found) > 1:
            fields.wrong(f"names {len(found)} objects: choose one by FILE#NAME, or give objects", name)
        return tuple(found[:1])

    def _objects(self, fields: Fields, item: Any, *below: str | int) -> Sequence[GivenObject]:
        """The objects of an item: inline, or by reference."""
        try:
            if isinstance(item, str):
                return self._files.find(item, self._folder)
            if is_object(item):
                line = self._lines.line(fields.path_of(*below))
                found = list(unpacked(item, Origin("file", self._file, line, self._document.number)))
                if not found:
                    fields.wrong("is a List without items", *below)
                return found
        except ObjectError as error:
            fields.wrong(str(error), *below)
            return ()
        if item is not None:
            fields.wrong("is not the path of a file, nor an object with apiVersion and kind", *below)
        elif below[-1] not in fields.raw:
            fields.wrong("has no value: give it one, or leave it out", *below)
        return ()

    def _world(self, fields: Fields) -> tuple[Resource, ...]:
        items = enumerate(fields.values("world"))
        return tuple(one.resource for index, item in items for one in self._objects(fields, item, "world", index))

    @staticmethod
    def _edits(fields: Fields) -> tuple[Edit, ...]:
        edits: list[Edit] = []
        given = fields.value("set")
        if given is not None and not isinstance(given, dict):
            fields.wrong("must be a map from paths to values", "set")
        for path, value in mapping(given).items():
            edits.append(Edit("set", path, value))
        edits += (Edit("remove", path) for path in fields.strings("remove") or ())
        usable = []
        for edit in edits:
            try:
                if paths.parse(edit.path):
                    usable.append(edit)
                    continue
                reason = 'a path such as spec.containers["app"].image is required'
            except PathSyntaxError as error:
                reason = str(error)
            fields.wrong(reason, edit.op)
        return tuple(usable)

    def _case(self, fields: Fields, name: str, given: _CaseText) -> Iterator[PolicyTestCase]:
        """The case; nothing where something of it is wrong, and noted."""
        if given.expected is None:
            if "expect" not in fields.raw:
                fields.wrong("is required: a test without an expectation cannot fail", "expect")
            return
        if given.objects is None:
            fields.wrong("is required: the object that is created, changed or deleted", "object")
            return
        if given.old is not None and len(given.objects) > 1:
            fields.wrong("goes with a single object", "oldObject")
            return
        reviews = []
        removed = set[str]()
        for one in given.objects:
            try:
                raw = _edited(one.raw, given.edits, removed)
                old = given.old.raw if given.old is not None else None
                if old is None and given.request.operation == "UPDATE" and given.edits:
                    old = one.raw
                reviews.append(review_of(given.request, raw, old))
            except (RequestError, UnfixableError) as error:
                fields.wrong(str(error))
        if len(reviews) == len(given.objects):
            for edit in given.edits:
                if edit.op == "remove" and edit.path not in removed:
                    fields.wrong(f"remove {edit.path}: there is nothing to remove")
            if "expect" in fields.raw:
                self._refuse_impossible(fields, given.expected, reviews)
        yield PolicyTestCase(name, self._place_of(fields.path), tuple(reviews), given.expected, given.world)

    def _refuse_impossible(self, fields: Fields, expected: Expectation, reviews: Iterable[Review]) -> None:
        """Checks that are expected not to be in an answer, and that say nothing of any such request."""
        asked = {(one.kind, review.request.operation) for review in reviews if (one := review.resource or review.old)}
        for part in expected.checks:
            for name in sorted(part.exclude):
                check = self._catalogue.find(name)
                if check is None or part.part in ("skipped", "faults"):
                    continue
                if not any(_may_say(check, kind, operation, self._catalogue) for kind, operation in asked):
                    reason = f"{name} does not look at such a request: an expectation that cannot fail"
                    fields.wrong(reason, "expect", part.part, "exclude")


def _may_say(check: Check, kind: Kind | None, operation: Operation, catalogue: Catalogue) -> bool:
    if kind is None:
        return False
    completed = catalogue.completed_by(kind)
    return (kind in check.looks_at and operation in check.operations) or (
        completed is not None and completed.find(check.id) is not None
    )
