"""``make gen``: writes what follows from the catalogue: the rights in a cluster and the README's table of checks."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from iocaudit.cli.checks_command import as_markdown
from iocaudit.controller.rbac import bindings, cluster_roles, namespaced_roles
from iocaudit.engine.catalogue import Catalogue, builtin_catalogue

_ROOT = Path(__file__).resolve().parents[1]
_CHECKS = re.compile(r"(?<=<!-- checks:begin -->\n).*?(?=<!-- checks:end -->)", re.DOTALL)


class _Dumper(yaml.SafeDumper):
    """Writes a value that occurs twice twice: anchors are hard to review."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  the base class's signature
        return True


def rights(catalogue: Catalogue, namespace: str) -> str:
    """The text of manifests/base/rbac.yaml."""
    objects = [*cluster_roles(catalogue), *bindings(namespace), *namespaced_roles(namespace)]
    return "# Generated from the catalogue by make gen.\n" + yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False)


def with_checks(readme: str, catalogue: Catalogue) -> str:
    """The README with the table of checks between its markers; as it was, where they are absent."""
    table = as_markdown(sorted(catalogue, key=lambda check: (check.group, check.id)))
    return _CHECKS.sub(lambda _: table, readme, count=1)


def generate(root: Path) -> list[Path]:
    """Write what is out of date below ``root``; the files written."""
    catalogue = builtin_catalogue()
    rbac, readme = root / "manifests" / "base" / "rbac.yaml", root / "README.md"
    manifest = (root / "manifests" / "base" / "namespace.yaml").read_text(encoding="utf-8")
    namespace = next(iter(yaml.safe_load_all(manifest)))["metadata"]["name"]
    wanted = {
        rbac: rights(catalogue, namespace),
        readme: with_checks(readme.read_text(encoding="utf-8"), catalogue),
    }
    written = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in written:
        path.write_text(wanted[path], encoding="utf-8")
    return written


def main() -> None:
    for path in generate(_ROOT):
        print(f"wrote {path.relative_to(_ROOT)}")


if __name__ == "__main__":
    main()
