"""Writes are bounded by the minute, whatever the moments at which they are asked for."""

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.evidence.write_budget import WriteBudget


@given(st.integers(1, 100), st.lists(st.tuples(st.floats(0, 200), st.integers(0, 200)), max_size=30))
def test_no_more_than_two_minutes_worth_in_any_minute_and_all_of_it_with_time(
    per_minute: int, turns: list[tuple[float, int]]
) -> None:
    """One minute's worth may have been saved up when the minute begins."""
    now = 1000.0
    budget = WriteBudget(per_minute, clock=lambda: now)
    made: list[float] = []
    for pause, asked in turns:
        now += pause
        for _ in range(asked):
            if budget.left:
                budget.spend()
                made.append(now)
    for since in made:
        assert sum(since <= at < since + 60.0 for at in made) <= 2 * per_minute
    now += 61.0
    assert budget.left == per_minute
