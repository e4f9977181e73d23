"""The programs that evaluate rules, as users have them: a missing one is compiled, or fails the test."""

from functools import cache
from pathlib import Path

from devcluster.build import any_go
from iocaudit.engine.languages.programs import compile_program
from iocaudit.engine.languages.sources import Engine
from iocaudit.engine.languages.toolchain.console import ConsoleProgress
from iocaudit.engine.languages.toolchain.go import GoProgram, building, go_build, go_caches, needed_go


@cache
def engine_program(engine: Engine) -> Path:
    return compile_program(engine, find_go=any_go)


def stock_opa_program(folder: Path) -> Path:
    """OPA as its own main package makes it, of the version that ours is built on: with functions that reach out."""
    module, target, progress = Engine.OPA.sources, folder / "opa", ConsoleProgress()
    with building(progress, "compiles OPA"):
        go = any_go(needed_go(module), progress)
        assert go is not None
        with go_caches(go, borrow=True) as caches:
            program = GoProgram("opa", module, "github.com/open-policy-agent/opa", "-s -w")
            go_build(go, program, target, caches, progress, "compiling OPA", "install Go")
    return target
