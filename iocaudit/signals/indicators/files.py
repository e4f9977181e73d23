"""Indicator 6: files that change. Of the audit log: what sessions write, and jobs that come back by themselves."""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.command import suspicions
from iocaudit.signals.accounts import is_own
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.commands import writes_system_files
from iocaudit.signals.indicators.declaration import Indicator, Observation
from iocaudit.signals.indicators.outbound import opened
from iocaudit.signals.wording import what, who

INDICATOR = Indicator(
    IoC.FILESYSTEM_CHANGE,
    "filesystem-changes",
    "Directories of the system, and of the node below a mount point, that sessions write to; cron, keys and CronJobs; "
    "from Falco, writes below `/etc`, `/bin`, `/root` and to devices.",
    "What a program writes by itself: Falco has to report it.",
)
_EXEC = ("pods/exec",)


@INDICATOR.detects(
    "system-files-written-in-session",
    severity=Severity.HIGH,
    technique="T1222",
    on=_EXEC,
    related=("writable-host-path", "sensitive-host-path", "writable-root-filesystem"),
)
def system_files_written_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod writes to directories of the system.

    `/etc`, the directories of programs, the kubelet's and root's own: in the container, or of the node where it is
    mounted (`/mnt/etc`, `/host/etc`, `/proc/1/root/etc`).

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: tools}
        requestURI: /api/v1/namespaces/shop/pods/tools/exec?command=sh&command=-c&command=echo+x+%3E%3E+%2Fmnt%2Fetc%2Fpasswd&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=cat&command=%2Fetc%2Fhosts&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1222; the indicator's own example: a host's /etc mounted as /mnt/etc.
    """
    command = opened(event)
    if not writes_system_files(command):
        return None
    return Observation(f"{who(event)} writes to system directories in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "persistence-in-session",
    severity=Severity.HIGH,
    technique="T1053.003",
    on=_EXEC,
    related=("writable-host-path", "writable-root-filesystem"),
)
def persistence_in_session(event: AuditEvent) -> Observation | None:
    """A command in a pod writes to cron or to the keys that SSH accepts.

    What is put there comes back: on a node for good, where its directories are mounted.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: tools}
        requestURI: /api/v1/namespaces/shop/pods/tools/exec?command=sh&command=-c&command=echo+key+%3E%3E+%2Froot%2F.ssh%2Fauthorized_keys&stdout=true
        responseStatus: {code: 101}

    Quiet:

        verb: create
        user: {username: alice}
        objectRef: {resource: pods, subresource: exec, namespace: shop, name: web}
        requestURI: /api/v1/namespaces/shop/pods/web/exec?command=crontab&command=-l&stdout=true
        responseStatus: {code: 101}

    Sources: MITRE ATT&CK T1053.003, Cron; T1098.004, SSH Authorized Keys.
    """
    command = opened(event)
    if not any(one.id == "persistence" for one in suspicions(command)):
        return None
    return Observation(f"{who(event)} writes to cron or authorized_keys in {what(event)}: {clip(' '.join(command))}")


@INDICATOR.detects(
    "scheduled-job-written",
    severity=Severity.LOW,
    technique="T1053.007",
    on=("cronjobs",),
    related=("workload-creation",),
)
def scheduled_job_written(event: AuditEvent) -> Observation | None:
    """Someone writes a CronJob.

    It starts again and again, also when the way in is closed. Tools of deployment write them too, so it is a line, not
    an alarm. The status that the cluster's controller writes does not count.

    Fires:

        verb: create
        user: {username: alice}
        objectRef: {resource: cronjobs, apiGroup: batch, namespace: shop, name: nightly}
        responseStatus: {code: 201}

    Quiet:

        verb: update
        user: {username: "system:serviceaccount:kube-system:cronjob-controller"}
        objectRef: {resource: cronjobs, subresource: status, apiGroup: batch, namespace: shop, name: nightly}
        responseStatus: {code: 200}

    Sources: Microsoft threat matrix for Kubernetes, Kubernetes CronJob; MITRE ATT&CK T1053.007.
    """
    if event.verb not in ("create", "update", "patch", "delete") or not event.went_on or is_own(event.user):
        return None
    return Observation(f"{who(event)} {'patche' if event.verb == 'patch' else event.verb}s {what(event)}")
