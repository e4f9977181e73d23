"""The cluster's own controllers: what each makes, of which owners, and under which name."""

from __future__ import annotations

from collections.abc import Mapping

from iocaudit.core.kinds import (
    CRON_JOB,
    DAEMON_SET,
    DEPLOYMENT,
    JOB,
    POD,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
    Kind,
)

_MANAGER = "system:kube-controller-manager"
"""Every controller's name where the manager was not told to use a ServiceAccount for each."""
CONTROLLERS: Mapping[Kind, Mapping[Kind, str]] = {
    POD: {
        REPLICA_SET: "replicaset",
        STATEFUL_SET: "statefulset",
        DAEMON_SET: "daemon-set",
        JOB: "job",
        REPLICATION_CONTROLLER: "replication",
    },
    REPLICA_SET: {DEPLOYMENT: "deployment"},
    JOB: {CRON_JOB: "cronjob"},
}
"""What is made, of which owners, and the controller that makes it."""
OWNERS = frozenset(owner for owners in CONTROLLERS.values() for owner in owners)
"""The kinds that controllers make others of."""


def account_of(name: str) -> str:
    """The user as which a controller makes what it makes, where each has a ServiceAccount of its own."""
    return f"system:serviceaccount:kube-system:{name}-controller"


def is_controller(username: str, name: str) -> bool:
    """Whether a request was made by this controller."""
    return username in (_MANAGER, account_of(name))
