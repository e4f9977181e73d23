"""The file that a person reads."""

from pathlib import Path

from iocaudit.detecting.learned_text import profile_text
from iocaudit.detecting.learning import learn
from iocaudit.engine.catalogue import installed_catalogue
from iocaudit.engine.policy_reader import read_policies
from tests.support.profiles import program_alert, request_event, write_log

TEXT = """\
# What was seen in namespace shop. Read it, take out what should not be,
# write CIDRs and globs where they are meant, then set mode: warn (findings of low severity), and enforce
# when nothing is left outside.
apiVersion: iocaudit.io/v1alpha1
kind: ActivityProfile
metadata:
  name: learned
  namespace: shop
spec:
  mode: learn
  processes:
  - image: registry.example.com/shop/web
    executables:
    - /usr/sbin/nginx  # 2 times, first 2026-11-30T10:00:01Z, last 2026-11-30T10:00:02Z
  destinations:
  - to: ["10.0.0.9"]
    ports:
    - 5432  # 1 time, 2026-11-30T10:00:02Z
  accounts:
  - account: "system:serviceaccount:shop:web"
    rules:
    # get: 1 time, 2026-11-30T10:00:01Z
    # list: 1 time, 2026-11-30T10:00:02Z
    - verbs: [get, list]
      resources: [configmaps]
"""


def test_the_text_is_sorted_and_says_how_often_and_when(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log",
        program_alert("/usr/sbin/nginx", second=1),
        program_alert("/usr/sbin/nginx", {"evt.type": "connect", "fd.rip": "10.0.0.9", "fd.rport": 5432}, second=2),
        request_event(2, "list"),
        request_event(1),
    )
    catalogue = installed_catalogue()
    assert profile_text(learn([log], catalogue, read_policies([], catalogue))) == TEXT
