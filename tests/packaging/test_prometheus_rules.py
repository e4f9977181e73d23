"""The rules for Prometheus, by promtool: each alert fires, and no data, new pods and deploys are not reported."""

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from devcluster.detections.dashboard import PANELS, VARIABLE
from devcluster.detections.metric_rules import FOLDER, groups
from devcluster.detections.promtool import ensure_promtool
from iocaudit.signals.detector_health import HEARTBEAT_ALERT
from tests.packaging.dockerfile import ROOT

RULES = ROOT / FOLDER / "rules"
CASES = sorted((Path(__file__).parent / "prometheus").glob("*.yaml"))


@pytest.fixture(scope="module")
def promtool() -> Path:
    return ensure_promtool()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rules and their cases, as the cases name them."""
    made = tmp_path_factory.mktemp("prometheus")
    shutil.copytree(RULES, made / "rules")
    for case in CASES:
        shutil.copy(case, made)
    return made


def run(promtool: Path, folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([promtool, *argv], cwd=folder, capture_output=True, text=True, timeout=300)


def test_promtool_takes_the_rules(promtool: Path, folder: Path) -> None:
    names = sorted(f"rules/{path.name}" for path in RULES.iterdir())
    done = run(promtool, folder, "check", "rules", "--lint-fatal", *names)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_alerts_fire_and_stay_quiet(promtool: Path, folder: Path, case: Path) -> None:
    done = run(promtool, folder, "test", "rules", case.name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_expectation_fails(promtool: Path, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "rules" / "dns.yaml"
    path.write_text(path.read_text("utf-8").replace("> 0.2", "> 0.99"), encoding="utf-8")
    done = run(promtool, tmp_path, "test", "rules", "dns.yaml")
    assert done.returncode == 1
    assert "IocauditDnsRareTypes" in done.stdout + done.stderr


def test_each_alert_has_a_case_that_fires_and_one_that_does_not() -> None:
    expected: dict[str, set[bool]] = defaultdict(set)
    named: dict[str, str] = {}
    for path in CASES:
        tests = yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        named[path.stem] = " ".join(test["name"] for test in tests)
        for test in tests:
            for asked in test["alert_rule_test"]:
                expected[asked["alertname"]].add(bool(asked["exp_alerts"]))
    shipped = {rule["alert"] for group in groups(ROOT) for rule in group["rules"] if "alert" in rule} - {
        HEARTBEAT_ALERT
    }
    assert {name: found for name, found in expected.items() if found == {True, False}}.keys() == shipped
    for stem, names in named.items():
        assert all(word in names for word in ("no data", "new pod", "a deploy")), stem


def test_every_query_of_the_dashboard_has_data_when_there_is_some(promtool: Path, folder: Path, tmp_path: Path) -> None:
    """The first case of each file is an attack behind a baseline: with their series every graph has a line."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    series: dict[str, str] = {'machine_cpu_cores{instance="node-1"}': "4x480"}
    for case in CASES:
        first = yaml.safe_load(case.read_text(encoding="utf-8"))["tests"][0]
        series = {one["series"]: one["values"] for one in first["input_series"]} | series
    asked = [panel.expression.replace(VARIABLE, "sho.*|ingress") for panel in PANELS]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {"expr": f"count({one}) > bool 0", "eval_time": "440m", "exp_samples": [{"labels": "{}", "value": 1}]}
            for one in asked
        ],
    }
    rules = [f"rules/{path.name}" for path in sorted(RULES.iterdir())]
    text = yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]})
    (tmp_path / "dashboard.yaml").write_text(text, encoding="utf-8")
    done = run(promtool, tmp_path, "test", "rules", "dashboard.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    # And a query without data does fail so.
    (tmp_path / "dashboard.yaml").write_text(text.replace("iocaudit:dns_requests:rate5m", "absent_figure"), "utf-8")
    assert run(promtool, tmp_path, "test", "rules", "dashboard.yaml").returncode == 1
