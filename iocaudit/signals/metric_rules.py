"""Which indicator an alert of Prometheus shows: by its label ``ioc``, which our own rules carry, else by its name.

Sources: kubernetes-monitoring/kubernetes-mixin, povilasv/coredns-mixin, prometheus-operator/kube-prometheus, and the
alerts that ingress-nginx, Traefik and Istio document.
"""

from __future__ import annotations

from iocaudit.core.severity import IoC, Severity
from iocaudit.signals.alerts import MetricAlert

_NAMES: dict[IoC, str] = {
    IoC.RESOURCE_SPIKE: """
        CPUThrottlingHigh KubeContainerOOMKilled ContainerOOMKilled KubePodOOMKilled ContainerHighCpuUtilization
        ContainerHighMemoryUsage ContainerHighThrottleRate NodeCPUHighUsage NodeMemoryHighUtilization
        NodeSystemSaturation KubeQuotaExceeded
    """,
    IoC.OUTBOUND_TRAFFIC: "CiliumAgentPolicyDenied CiliumPolicyDrops HubbleDropsHigh ContainerNetworkTransmitHigh",
    IoC.INBOUND_TRAFFIC: """
        KubeAPIErrorBudgetBurn KubeAPITerminatedRequests KubeAPIServerOverloaded KubeClientErrors
        NginxHighRequestRate TraefikHighRequestRate
    """,
    IoC.DNS_ANOMALY: "CoreDNSErrorsHigh CoreDNSForwardErrorsHigh CoreDNSLatencyHigh CoreDNSForwardLatencyHigh",
    IoC.HTTP_ERRORS: """
        NginxHighHttp4xxErrorRate NGINXTooMany400s TraefikHighHttp4xxErrorRateService
        TraefikHighHttp4xxErrorRateBackend IstioHigh4xxErrorRate IstioHighRequestErrorRate4xx
    """,
}
ALERTS: dict[str, IoC] = {name.casefold(): ioc for ioc, names in _NAMES.items() for name in names.split()}
_SEVERITIES = {"critical": Severity.HIGH, "high": Severity.HIGH, "page": Severity.HIGH, "warning": Severity.MEDIUM}


def indicator_of_metric(alert: MetricAlert) -> IoC | None:
    """The indicator that an alert shows; None where nothing tells. A label that names no indicator does not."""
    label = alert.labels.get("ioc", "").strip().lower().removeprefix("ioc").lstrip("-_ ")
    if label.isascii() and label.isdigit() and len(label) <= 2 and 1 <= int(label) <= len(IoC):
        return IoC(int(label))
    return ALERTS.get(alert.name.casefold())


def severity_of_metric(alert: MetricAlert) -> Severity:
    """By the label that alerts carry by convention."""
    return _SEVERITIES.get(alert.labels.get("severity", "").lower(), Severity.LOW)
