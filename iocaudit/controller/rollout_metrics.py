"""The operator's figures about policies under rollout."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge

from iocaudit.engine.rollout import RolloutStage
from iocaudit.engine.rollout_status import RolloutStatus


class RolloutMetrics:
    """Counted as things happen, and set after each turn; the one label is bounded."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str) -> Counter:
            return Counter(f"iocaudit_operator_rollout_{name}", text, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"iocaudit_operator_{name}", text, labels, registry=registry)

        self.promotions = counter("promotions", "Stages that were reached.")
        self.step_backs = counter("step_backs", "Namespaces taken back, as a protected controller was denied there.")
        self.locked_out = counter("locked_out", "Requests of protected controllers that a step back would have let by.")
        self._stages = gauge("rollouts", "Policies under rollout, by stage.", ("stage",))
        self._held = gauge("rollout_held_places", "Places that are held, as something would have been denied there.")
        self._back = gauge("rollout_namespaces_back", "Namespaces that are taken back.")
        self._still = gauge("rollouts_standing_still", "Policies under rollout whose time does not count now.")
        for stage in RolloutStage:
            self._stages.labels(stage.value).set(0)

    def update(self, statuses: Iterable[RolloutStatus]) -> None:
        """Set what is so by these statuses."""
        every = list(statuses)
        for stage in RolloutStage:
            self._stages.labels(stage.value).set(sum(one.stage is stage for one in every))
        holds = [hold for one in every for hold in one.holds.values()]
        self._held.set(sum(not hold.stepped_back for hold in holds))
        self._back.set(sum(bool(hold.stepped_back) for hold in holds))
        self._still.set(sum(bool(one.lacking) and one.stage is not RolloutStage.PROMOTED for one in every))
