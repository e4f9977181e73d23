"""Threads and tasks are begun where a supervisor looks after them, or where it is said here why not."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
BEGINS = frozenset(
    {"Thread", "Timer", "Process", "ThreadPoolExecutor", "ProcessPoolExecutor", "start_new_thread"}
    | {"create_task", "ensure_future", "to_thread", "run_in_executor", "TaskGroup"}
)
ALLOWED = {
    "iocaudit/supervision/supervisor.py": "what it looks after, and its own thread, which the probe asks about",
    "iocaudit/supervision/part.py": "a wait, within a part",
    "iocaudit/serving/listener.py": "servers, whose end ends the process; certificates, by the supervisor",
    "iocaudit/serving/acceptor.py": "a task a connection, with a deadline",
    "iocaudit/serving/certificate_source.py": "a call that a part waits for",
    "iocaudit/controller/main.py": "waits, and the receiver, which the supervisor keeps",
    "iocaudit/controller/kopf_part.py": "a task within a part: it beats for it",
    "iocaudit/evidence/receiver.py": "calls that a request waits for",
    "iocaudit/evidence/reporter.py": "a call that a part waits for",
    "admission/app.py": "calls that a review waits for; one that hangs is seen by the pulse of large reviews",
    "admission/rule_edge.py": "what compiles the rules of a review, which waits for it until its deadline",
    "iocaudit/engine/languages/rego/evaluator.py": "what gets OPA ready, which a question waits for until its deadline",
    "iocaudit/engine/languages/keeper.py": "what gets a child ready, which a question waits for until its deadline",
    "iocaudit/engine/languages/programs.py": "a time limit on a program that is probed, and waited for",
    "iocaudit/scanning/workers.py": "the scanner: processes that are waited for",
    "iocaudit/scanning/running.py": "the scanner: a time limit on a program",
}


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in BEGINS:
                yield name


def test_nothing_begins_a_thread_or_a_task_behind_the_supervisors_back() -> None:
    found = {
        str(path.relative_to(ROOT)): sorted(set(calls(ast.parse(path.read_text(encoding="utf-8")))))
        for folder in ("iocaudit", "admission", "checks")
        for path in sorted((ROOT / folder).rglob("*.py"))
    }
    begun = {path: names for path, names in found.items() if names}
    assert {path: names for path, names in begun.items() if path not in ALLOWED} == {}
    assert set(ALLOWED) <= set(begun), "what is no longer needed here goes"


def test_waits_between_attempts_are_reckoned_in_one_place() -> None:
    """Each had its own doubling, its own bound and its own spread."""
    grown = [
        str(path.relative_to(ROOT))
        for folder in ("iocaudit", "admission")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if "random.uniform" in path.read_text(encoding="utf-8")
    ]
    assert grown == ["iocaudit/supervision/backoff.py"]
