"""The Dockerfile read, and its steps done into folders: the same layers, without a container engine.

What an engine would do in another way is said where it is done. An instruction that is not known here is an error,
so that the Dockerfile cannot grow beyond what is tried.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from tests.packaging.root import Root

ROOT = Path(__file__).parents[2]
# What the manifests set, too; test_image.py holds the Dockerfile to it.
USER = (65532, 65532)


@dataclass(frozen=True)
class Instruction:
    """``COPY --from=build /venv /venv`` is word ``COPY``, the rest as written."""

    word: str
    rest: str

    def argv(self) -> list[str]:
        """RUN, CMD or ENTRYPOINT as a list; an AssertionError where it needs a shell."""
        assert self.rest.startswith("["), f"{self.word} {self.rest}: the shell form needs a shell"
        argv: list[str] = json.loads(self.rest)
        return argv


@dataclass
class Stage:
    """One FROM and what follows it: the folder, and how a process in it is started."""

    root: Root
    environment: dict[str, str]
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)


def instructions() -> list[Instruction]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    parts = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    found = [Instruction(word.upper(), rest.strip()) for word, _, rest in parts]
    # What stands before the first FROM holds in every FROM, and nowhere else.
    defaults = dict(step.rest.split("=", 1) for step in found if step.word == "ARG")
    return [
        Instruction(step.word, Template(step.rest).substitute(defaults)) if step.word == "FROM" else step
        for step in found
        if step.word != "ARG"
    ]


def context() -> set[str]:
    """What .dockerignore lets the builder see: it leaves out everything, then names files and folders again."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    return {line[1:] for line in lines if line.startswith("!")}


def build(bases: Mapping[str, Root], folder: Path) -> list[Stage]:
    """The stages, the image last, their layers below ``folder``; ``bases`` stand for images, by the names of these."""
    stages: list[Stage] = []
    named: dict[str, Stage] = {}
    for step in instructions():
        if step.word == "FROM":
            image, *name = step.rest.split()
            base = bases[image.partition(":")[0]]
            stages.append(Stage(base.copy(folder / f"stage-{len(stages)}"), dict(base.environment)))
            if name:
                assert name[0].upper() == "AS"
                named[name[1]] = stages[-1]
        else:
            _apply(step, stages[-1], named)
    return stages


def _apply(step: Instruction, stage: Stage, named: dict[str, Stage]) -> None:
    match step.word:
        case "COPY":
            words = step.rest.split()
            origin = named[words.pop(0).removeprefix("--from=")].root.path if words[0].startswith("--from=") else ROOT
            assert not any(word.startswith("--") for word in words), step.rest
            *sources, target = words
            for source in sources:
                _copy(origin, source, stage.root.path / os.path.join(stage.folder, target).lstrip("/"), target)
        case "RUN":
            # A build reaches the package index as whoever starts it does. An engine keeps no caches between builds.
            caches = {Path(place).name: place for place in stage.root.binds if place.startswith("/caches/")}
            environment = {"HOME": "/root", **stage.environment, **network_settings(), **caches}
            stage.root.run(step.argv(), environment=environment, folder=stage.folder)
        case "ENV":
            stage.environment |= dict(word.split("=", 1) for word in step.rest.split())
        case "WORKDIR":
            stage.folder = os.path.join(stage.folder, step.rest)
            (stage.root.path / stage.folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            stage.user = step.rest
        case "ENTRYPOINT":
            stage.entrypoint = step.argv()
        case "CMD":
            stage.command = step.argv()
        case other:
            raise AssertionError(f"{other} {step.rest}: say in tests/packaging/dockerfile.py what it does")


def _copy(origin: Path, source: str, place: Path, target: str) -> None:
    """As COPY does: a folder's content into the target, a file into a target that ends in a slash; links stay."""
    if origin == ROOT:
        assert any(Path(source).is_relative_to(one) for one in context()), f".dockerignore hides {source}"
    path = origin / source.lstrip("/")
    if path.is_dir():
        hidden = shutil.ignore_patterns("__pycache__") if origin == ROOT else None
        shutil.copytree(path, place, symlinks=True, ignore=hidden, dirs_exist_ok=True)
    else:
        assert target.endswith("/")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, place)


def network_settings() -> dict[str, str]:
    """What this machine needs in order to reach the package indexes."""
    return dict(_settings())


def _settings() -> Iterator[tuple[str, str]]:
    pip = {"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_PROXY", "PIP_CERT", "PIP_DEFAULT_TIMEOUT"}
    go = {"GOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOPRIVATE"}
    for name, value in os.environ.items():
        if name in pip | go | {"SSL_CERT_FILE"} or name.lower() in (
            "http_proxy",
            "https_proxy",
            "all_proxy",
            "no_proxy",
        ):
            yield name, value
