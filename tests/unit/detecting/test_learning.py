"""What is learned expects what it was learned from, and nothing of an incident."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iocaudit.core.shape import Json
from iocaudit.detecting import learning as module
from iocaudit.detecting.learned_text import profile_text
from iocaudit.detecting.learning import LearnedProfiles, learn
from iocaudit.detecting.profile_check import check_profiles
from iocaudit.detecting.profile_files import read_profile_files
from iocaudit.engine.catalogue import installed_catalogue
from iocaudit.engine.policy_reader import read_policies
from tests.support.profiles import program_alert, request_event, write_log
from tests.support.signal_posts import exec_event

CATALOGUE = installed_catalogue()
POLICIES = read_policies([], CATALOGUE)


def learned(folder: Path, *reports: Json, window: timedelta | None = None) -> LearnedProfiles:
    return learn([write_log(folder / "log", *reports)], CATALOGUE, POLICIES, window=window)


def names(found: LearnedProfiles) -> set[str]:
    return {f"{row.of} {row.verb} {row.name}".replace("  ", " ") for rows in found.rows.values() for row in rows}


def miner(number: int, user: str = "mallory") -> Json:
    """A session that mines, which is an incident by itself."""
    return {**exec_event(number, user=user), "requestURI": "/exec?command=xmrig"}


def test_what_an_incident_holds_is_never_learned(tmp_path: Path) -> None:
    found = learned(
        tmp_path,
        request_event(1),
        request_event(2, user="mallory", resource="services"),
        miner(3),
        program_alert("/tmp/xmrig", {"k8s.pod.name": "web-1"}, second=5),
        program_alert("/usr/sbin/nginx", {"k8s.pod.name": "web-2"}, second=6),
    )
    assert len(found.incidents) == 1
    assert names(found) == {
        "system:serviceaccount:shop:web get configmaps",
        "registry.example.com/shop/web /usr/sbin/nginx",
    }
    assert found.left_out["held by an incident"] == 3


def test_long_before_an_incident_its_account_is_learned(tmp_path: Path) -> None:
    early = request_event(2, user="mallory", resource="services")
    early["requestReceivedTimestamp"] = early["stageTimestamp"] = "2026-11-30T01:00:00.000000Z"
    assert "mallory get services" in names(learned(tmp_path, early, miner(3)))


def test_refused_requests_and_what_is_before_the_window_are_not_learned(tmp_path: Path) -> None:
    early = request_event(2, resource="services")
    early["requestReceivedTimestamp"] = early["stageTimestamp"] = "2026-11-30T01:00:00.000000Z"
    found = learned(tmp_path, early, request_event(3), request_event(4, code=403), window=timedelta(hours=1))
    assert names(found) == {"system:serviceaccount:shop:web get configmaps"}
    assert found.left_out == {"before the window": 1, "refused requests": 1}


def test_names_that_would_be_wildcards_or_yaml_are_left_out(tmp_path: Path) -> None:
    found = learned(
        tmp_path,
        program_alert("/tmp/*"),
        program_alert("/tmp/x (deleted)"),
        program_alert("/bin/ok", namespace="shop\nspec: {}"),
        program_alert("/bin/ok", namespace="shop"),
        request_event(1, user="*"),
    )
    assert names(found) == {"registry.example.com/shop/web /bin/ok"}
    assert found.left_out["what an entry cannot say"] == 4


def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    found = learned(tmp_path, *(program_alert(f"/bin/{number}", second=number) for number in range(5)))
    assert sum(map(len, found.rows.values())) == 2
    assert sum(found.left_out.values()) == 3


PATHS = st.text(min_size=1, max_size=12).map(lambda one: f"/usr/{one}")
REPORTS = st.lists(
    st.builds(program_alert, PATHS, second=st.integers(0, 59))
    | st.builds(
        lambda host, port, second: program_alert(
            "/bin/x", {"evt.type": "connect", "fd.rip": host, "fd.rport": port}, second=second
        ),
        st.ip_addresses().map(str),
        st.integers(0, 65_535),
        st.integers(0, 59),
    )
    | st.builds(
        lambda number, verb, resource, user: request_event(number, verb, resource, user),
        st.integers(1, 50),
        st.sampled_from(["get", "list", "watch", "frobnicate"]),
        st.sampled_from(["configmaps", "endpoints", "Odd", "services"]),
        st.text(min_size=1, max_size=10),
    ),
    min_size=1,
    max_size=8,
)


@given(REPORTS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_what_was_learned_can_be_read_and_expects_what_it_was_learned_from(tmp_path: Path, reports: list[Json]) -> None:
    log, file = write_log(tmp_path / "log", *reports), tmp_path / "p.yaml"
    found = learn([log], CATALOGUE, POLICIES)
    if not found.rows:
        return
    file.write_text(profile_text(found), encoding="utf-8", newline="")
    use = check_profiles(read_profile_files([str(file)]), [log])
    assert sum(span.count for span in use.outside.values()) <= sum(found.left_out.values())
    for profile in use.profiles.profiles:
        assert use.unused(profile) == []


@given(st.permutations([*map(request_event, range(1, 4)), program_alert("/b/1"), program_alert("/b/2", second=2)]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
def test_the_same_signals_in_any_order_give_the_same_text(tmp_path: Path, reports: list[Json]) -> None:
    texts = {profile_text(learned(tmp_path, *one)) for one in (reports, sorted(reports, key=str))}
    assert len(texts) == 1
