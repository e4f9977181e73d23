"""Records of incidents: one by hand, and any that a book could tell of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from iocaudit.core.severity import IoC, Severity
from iocaudit.records.incident import IncidentRecord, IncidentState, IncidentStep

BEGIN = datetime(2026, 11, 30, 10, tzinfo=UTC)


def step(minute: int = 0, rule: str = "exec-in-pod", target: str = "shop/Deployment/web") -> IncidentStep:
    when = BEGIN + timedelta(minutes=minute)
    return IncidentStep(
        rule, "A shell", Severity.MEDIUM, (IoC.USER_ACTIVITY,), "mallory", target, 2, when, when, "seen", "T1609"
    )


def record(
    name: str = "incident-0123456789",
    state: IncidentState = IncidentState.OPEN,
    severity: Severity = Severity.HIGH,
    targets: tuple[str, ...] = ("shop/Deployment/web", "Node/node-1"),
    related: tuple[str, ...] = ("privileged-container", "cluster-admin-binding"),
    signals: int = 4,
    last: datetime = BEGIN,
    merged_into: str = "",
) -> IncidentRecord:
    return IncidentRecord(
        name,
        state,
        "" if state is IncidentState.OPEN else "no signal",
        severity,
        (IoC.USER_ACTIVITY, IoC.FILESYSTEM_CHANGE),
        ("mallory",),
        targets,
        signals,
        min(BEGIN, last),
        last,
        BEGIN,
        (step(), step(1, "host-file-written")),
        2,
        related,
        merged_into=merged_into,
    )


_IDS = st.from_regex(r"[a-z][a-z0-9]{0,20}(-[a-z0-9]{1,10}){0,2}", fullmatch=True)
_NAMES = st.from_regex(r"incident-[0-9a-f]{10,32}", fullmatch=True)
_TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
_IOCS = st.sets(st.sampled_from(IoC)).map(lambda found: tuple(sorted(found)))
_SEVERITIES = st.sampled_from(Severity)
_COUNTS = st.integers(0, 2**53 - 1)


def _texts(most: int = 64) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=most)


@st.composite
def _steps(draw: st.DrawFn) -> IncidentStep:
    first, last = sorted((draw(_TIMES), draw(_TIMES)))
    rule, severity, iocs, count = draw(_IDS), draw(_SEVERITIES), draw(_IOCS), draw(_COUNTS)
    title, account, target, message, technique = (draw(_texts()) for _ in range(5))
    return IncidentStep(rule, title, severity, iocs, account, target, count, first, last, message, technique)


@st.composite
def records(draw: st.DrawFn) -> IncidentRecord:
    """Any that fits the schema."""
    names = st.lists(_texts(), max_size=32).map(tuple)
    first, last = sorted((draw(_TIMES), draw(_TIMES)))
    state = draw(st.sampled_from(IncidentState))
    return IncidentRecord(
        draw(_NAMES),
        state,
        "" if state is IncidentState.OPEN else draw(_texts()),
        draw(_SEVERITIES),
        draw(_IOCS),
        draw(names),
        draw(names),
        draw(_COUNTS),
        first,
        last,
        draw(_TIMES),
        tuple(draw(st.lists(_steps(), max_size=3))),
        draw(_COUNTS),
        tuple(draw(st.lists(_IDS, max_size=32))),
        draw(names),
        draw(_NAMES) if state is IncidentState.MERGED else "",
        *draw(st.just((0, "")) | st.tuples(_COUNTS, st.from_regex(r"[0-9a-f]{64}", fullmatch=True))),
    )
