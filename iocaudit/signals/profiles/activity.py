"""What a report shows of activity that a profile can expect: a program that runs, a connection, a request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.ip import IpAddress
from iocaudit.core.severity import IoC
from iocaudit.signals.accounts import is_own
from iocaudit.signals.audit_event import AuditEvent
from iocaudit.signals.falco import FalcoAlert
from iocaudit.signals.falco_rules import indicator_of
from iocaudit.signals.profiles.patterns import address_of, dns_name

_CONNECTS = frozenset({"connect", "sendto", "sendmsg", "sendmmsg"})


class RunningProgram(NamedTuple):
    """``path`` is the executable's as the kernel names it; ``image`` is empty where the alert does not say."""

    namespace: str
    image: str
    path: str


class OutboundConnection(NamedTuple):
    """``names`` are those that Falco resolved; ``address`` and ``port`` are None where they are not known."""

    namespace: str
    address: IpAddress | None
    names: tuple[str, ...]
    port: int | None

    @property
    def host(self) -> str:
        return self.names[0] if self.names else str(self.address)


class AccountRequest(NamedTuple):
    """A request to the API server, by the user that was authenticated."""

    namespace: str
    account: str
    verb: str
    resource: str
    group: str
    subresource: str

    @property
    def whole(self) -> str:
        """``deployments.apps/scale``."""
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{name}/{self.subresource}" if self.subresource else name


Activity = RunningProgram | OutboundConnection | AccountRequest


def activities_of(report: object) -> Iterator[Activity]:
    """What a report shows, of any sort."""
    if isinstance(report, AuditEvent):
        request = request_of(report)
        found: tuple[Activity | None, ...] = (request,)
    elif isinstance(report, FalcoAlert):
        found = (program_of(report), connection_of(report))
    else:
        return
    yield from (one for one in found if one is not None)


def request_of(event: AuditEvent) -> AccountRequest | None:
    """The request, where it is about objects of a namespace and not the work of the cluster or its cloud."""
    target = event.target
    is_asked = event.is_answered and not event.is_dry_run
    if not (is_asked and target.namespace and target.resource and event.user.username) or is_own(event.user):
        return None
    return AccountRequest(
        target.namespace, event.user.username, event.verb, target.resource, target.group, target.subresource
    )


def program_of(alert: FalcoAlert) -> RunningProgram | None:
    """The program that an alert is about, where it says its path: names of processes are theirs to choose."""
    namespace, path = alert.field("k8s.ns.name"), alert.field("proc.exepath")
    if alert.source != "syscall" or not (namespace and path):
        return None
    return RunningProgram(namespace, alert.field("container.image.repository") or alert.field("container.image"), path)


def connection_of(alert: FalcoAlert) -> OutboundConnection | None:
    """The connection that an alert is about, where it goes out and further than the pod itself."""
    namespace, call = alert.field("k8s.ns.name"), alert.field("evt.type")
    if alert.source != "syscall" or not namespace:
        return None
    if call not in _CONNECTS and (call or indicator_of(alert) is not IoC.OUTBOUND_TRAFFIC):
        return None
    named_host, _, named_port = alert.field("fd.name").rpartition("->")[2].rpartition(":")
    address = address_of(alert.field("fd.rip") or alert.field("fd.sip") or named_host)
    names = tuple(sorted({dns_name(one) for one in (alert.field("fd.rip.name"), alert.field("fd.sip.name")) if one}))
    if (address is None and not names) or (address is not None and address.is_loopback):
        return None
    return OutboundConnection(
        namespace, address, names, _port(alert.field("fd.rport") or alert.field("fd.sport") or named_port)
    )


def _port(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else None
