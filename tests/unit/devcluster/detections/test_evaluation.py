"""Conditions hold for the events that Falco's engine takes them to hold for."""

import pytest

from devcluster.detections.condition import read_condition
from devcluster.detections.evaluation import holds
from devcluster.detections.rule_file import RuleFile

FILE = RuleFile(
    "x",
    "0.57.0",
    {},
    {"shells": ("sh", "bash")},
    {"shell": read_condition("proc.name in (shells)")},
    (),
)
EVENT = {
    "proc.name": "bash",
    "proc.exe": "/bin/BASH",
    "proc.pname": "sh",
    "proc.vpid": 7,
    "proc.aname": ["sh", "init"],
    "container.privileged": True,
    "ka.req.role.rules.verbs": ["get", "*"],
    "fd.name": "/etc/cron.d/x",
    "fd.snet": "10.1.2.3",
}


@pytest.mark.parametrize(
    ("condition", "result"),
    [
        ("shell", True),
        ("not shell", False),
        ("proc.name = sh or proc.vpid = 7", True),
        ("proc.name = bash and proc.vpid != 7", False),
        ("container.privileged = true", True),
        ("proc.aname in (init)", True),
        ("ka.req.role.rules.verbs in (get)", False),
        ("ka.req.role.rules.verbs intersects (get)", True),
        ("fd.name pmatch (/etc/cron.d)", True),
        ("fd.name pmatch (/etc/cron)", False),
        ("fd.name glob /etc/*x", True),
        ("fd.name regex /etc/.*", True),
        ("fd.name regex /etc", False),
        ("fd.snet in ('10.0.0.0/8')", True),
        ("fd.snet != '10.0.0.0/8'", False),
        ("basename(tolower(proc.exe)) = bash", True),
        ("len(proc.name) > 3", True),
        ("proc.name = val(proc.pname)", False),
        ("proc.name icontains BA", True),
        ("user.name exists", False),
        ("user.name != root", False),
        ("not user.name = root", True),
        ("proc.vpid <= 7 and proc.vpid < 8 and proc.vpid >= 7", True),
    ],
)
def test_holds(condition: str, result: bool) -> None:
    assert holds(FILE, read_condition(condition), EVENT) is result
