"""``make gen``: writes what follows from the catalogue: the rights in a cluster, the documentation of the checks."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from devcluster import coverage
from devcluster.detections import metric_rules
from devcluster.detections.dashboard import dashboard
from iocaudit.core.own_names import NAMESPACE
from iocaudit.core.shape import Json
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue
from iocaudit.engine.check_index import index_of
from iocaudit.impact.policy_tests.schema import schema as policy_test_schema
from iocaudit.install.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.signals.indicators.catalogue import all_indicators
from iocaudit.sinks import json_report
from iocaudit.sinks.blocks.blocks import Block
from iocaudit.sinks.blocks.markdown import as_markdown
from iocaudit.sinks.catalogue import index, indicators
from iocaudit.sinks.catalogue.page import page
from iocaudit.sinks.json_page import json_page

_ROOT = Path(__file__).resolve().parents[1]
_CHECKS = re.compile(r"(?<=<!-- checks:begin -->\n).*?(?=<!-- checks:end -->)", re.DOTALL)
_PAGE_HEAD = "<!-- Generated from the declarations of the checks by make gen. -->\n\n"
_IDS_HEAD = """\
# Every id that a check has, or has had: waivers, policies and baselines name them, so none is ever taken back or
# given to another check. make gen adds new ones.
"""
_INDEXES: dict[str, Callable[[Catalogue], Iterator[Block]]] = {
    "index.md": index.by_group,
    "by-ioc.md": index.by_ioc,
    "by-severity.md": index.by_severity,
    "by-control.md": index.by_control,
}


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice twice: anchors are hard to review."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the base class's signature
        return True


def rights(catalogue: Catalogue, namespace: str) -> str:
    """The text of manifests/base/rbac.yaml."""
    objects = [*cluster_roles(catalogue), *bindings(namespace), *namespaced_roles(namespace)]
    return "# Generated from the catalogue by make gen.\n" + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False)


def own_objects(catalogue: Catalogue) -> str:
    """The text of iocaudit/knowledge/rbac/own.json: by it the checks know our own install."""
    objects = [*cluster_roles(catalogue), *bindings(NAMESPACE), *namespaced_roles(NAMESPACE)]
    return "[\n" + ",\n".join(json.dumps(_unlabelled(one), sort_keys=True) for one in objects) + "\n]\n"


def _unlabelled(raw: Json) -> Json:
    metadata = {key: value for key, value in raw["metadata"].items() if key != "labels"}
    return {**raw, "metadata": metadata}


def with_checks(readme: str, catalogue: Catalogue) -> str:
    """The README with the counts of checks between its markers; as it was, where they are absent."""
    table = as_markdown([index.counts(catalogue, "docs")])
    return _CHECKS.sub(lambda _: table, readme, count=1)


def with_ids(known: str, catalogue: Catalogue) -> str:
    """The list of ids with those that are new: none ever leaves it, as an id lives for ever."""
    ids = {line for line in known.splitlines() if line and not line.startswith("#")}
    for check in catalogue:
        ids |= {check.id, *check.aliases}
    return _IDS_HEAD + "".join(f"{name}\n" for name in sorted(ids))


def pages(catalogue: Catalogue) -> dict[str, str]:
    """The documentation of the checks, by path below ``docs``."""
    found = {f"checks/{check.id}.md": _page(page(check, catalogue)) for check in catalogue}
    return found | {name: _page(blocks(catalogue)) for name, blocks in _INDEXES.items()}


def indicator_pages(catalogue: Catalogue) -> dict[str, str]:
    """What sees the indicators at run time, and how that compares, by path below ``docs``."""
    head = "<!-- Generated from the declarations of the detections by make gen. -->\n\n"
    found = {f"indicators/{one.slug}.md": head + as_markdown(indicators.page(one)) for one in all_indicators()}
    found["indicators.md"] = head + as_markdown(indicators.index(all_indicators()))
    found["detection-coverage.md"] = "<!-- Generated from devcluster/coverage.toml by make gen. -->\n\n" + as_markdown(
        coverage.page(catalogue)
    )
    return found


def report_page() -> str:
    """The text of docs/json-report.md."""
    schema = json.loads(Path(json_report.__file__).with_name("report.schema.json").read_text(encoding="utf-8"))
    return "<!-- Generated from the schema of the report by make gen. -->\n\n" + as_markdown(json_page(schema))


def _page(blocks: Iterator[Block]) -> str:
    return _PAGE_HEAD + as_markdown(blocks)


def generate(root: Path) -> list[Path]:
    """Write what is out of date below ``root``, remove pages of checks that are gone; the files of both."""
    catalogue = builtin_catalogue()
    rbac, readme, docs = root / "manifests" / "base" / "rbac.yaml", root / "README.md", root / "docs"
    ids = docs / "ids"
    manifest = (root / "manifests" / "base" / "namespace.yaml").read_text(encoding="utf-8")
    namespace = next(iter(yaml.safe_load_all(manifest)))["metadata"]["name"]
    wanted = {
        root / "iocaudit" / "knowledge" / "rbac" / "own.json": own_objects(catalogue),
        root / "checks" / "index.json": index_of(catalogue).decode(),
        rbac: rights(catalogue, namespace),
        readme: with_checks(readme.read_text(encoding="utf-8"), catalogue),
        ids: with_ids(ids.read_text(encoding="utf-8") if ids.exists() else "", catalogue),
        root / metric_rules.FOLDER / "prometheus-rule.yaml": metric_rules.prometheus_rule(root),
        root / metric_rules.FOLDER / "dashboard.json": dashboard(),
        docs / "json-report.md": report_page(),
        docs / "policytest.schema.json": json.dumps(policy_test_schema(), indent=2) + "\n",
        **{docs / name: text for name, text in (pages(catalogue) | indicator_pages(catalogue)).items()},
    }
    written = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in written:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(wanted[path], encoding="utf-8")
    stale = sorted(path for path in (docs / "checks").glob("*.md") if path not in wanted)
    for path in stale:
        path.unlink()
    return [*written, *stale]


def main() -> None:
    for path in generate(_ROOT):
        print(f"{'wrote' if path.exists() else 'removed'} {path.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
