"""How far a Service reaches: its type, who may reach its load balancer, and whether that is an internal one.

Sources: Kubernetes reference of Service; the documentation of Service annotations of AWS, Azure, Google, OpenStack,
Oracle, IBM, Alibaba, Tencent, DigitalOcean, Scaleway, Yandex and Hetzner.
"""

from collections.abc import Iterable

from iocaudit.core.resource import Resource
from iocaudit.core.shape import lookup, strings, text
from iocaudit.knowledge.network.addresses import covers_every_address, read_networks

_RANGES = (
    "service.beta.kubernetes.io/load-balancer-source-ranges",
    "service.beta.kubernetes.io/azure-allowed-ip-ranges",
)
_AWS = "service.beta.kubernetes.io/aws-load-balancer-"
_INTERNAL: dict[str, tuple[str, ...]] = {
    f"{_AWS}scheme": ("internal",),
    "service.beta.kubernetes.io/azure-load-balancer-internal": ("true",),
    "networking.gke.io/load-balancer-type": ("internal",),
    "cloud.google.com/load-balancer-type": ("internal",),
    "service.beta.kubernetes.io/openstack-internal-load-balancer": ("true",),
    "service.beta.kubernetes.io/oci-load-balancer-internal": ("true",),
    "oci-network-load-balancer.oraclecloud.com/internal": ("true",),
    "service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type": ("private",),
    "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-address-type": ("intranet",),
    "service.beta.kubernetes.io/alicloud-loadbalancer-address-type": ("intranet",),
    "service.beta.kubernetes.io/do-loadbalancer-network": ("internal",),
    "service.beta.kubernetes.io/scw-loadbalancer-private": ("true",),
    "yandex.cloud/load-balancer-type": ("internal",),
    "load-balancer.hetzner.cloud/disable-public-network": ("true",),
}
"""The annotation that keeps a load balancer internal, and its values, in lower case."""
_INTERNAL_IF_SET = ("service.kubernetes.io/qcloud-loadbalancer-internal-subnetid",)
_AWS_CONTROLLER_CLASSES = ("service.k8s.aws/nlb",)
_AWS_CONTROLLER_TYPES = ("external", "nlb-ip")


def service_type(service: Resource) -> str:
    """``ClusterIP``, ``NodePort``, ``LoadBalancer`` or ``ExternalName``."""
    return text(lookup(service.raw, "spec", "type")) or "ClusterIP"


def source_ranges(service: Resource) -> list[str]:
    """The CIDRs that may reach its load balancer: the field, else an annotation."""
    ranges = strings(lookup(service.raw, "spec", "loadBalancerSourceRanges"))
    if ranges:
        return ranges
    named = (text(service.annotations.get(name)).split(",") for name in _RANGES)
    return [value.strip() for values in named for value in values if value.strip()]


def are_limited(ranges: Iterable[str]) -> bool:
    """Whether CIDRs are given and do not amount, be it together, to the whole of an address family."""
    given = list(ranges)
    return bool(given) and not covers_every_address(read_networks(given))


def internal_by(service: Resource) -> str:
    """The annotation or class that keeps its load balancer inside the cloud's network; empty where none does."""
    annotations = service.annotations
    for name, values in _INTERNAL.items():
        if text(annotations.get(name)).strip().lower() in values:
            return name
    for name in _INTERNAL_IF_SET:
        if text(annotations.get(name)).strip():
            return name
    # Any value but false did in the in-tree provider of AWS, 0.0.0.0/0 being the one documented first.
    if text(annotations.get(f"{_AWS}internal")).strip().lower() not in ("", "false"):
        return f"{_AWS}internal"
    if f"{_AWS}scheme" in annotations:
        return ""
    # The AWS Load Balancer Controller makes them internal unless told otherwise.
    if text(lookup(service.raw, "spec", "loadBalancerClass")) in _AWS_CONTROLLER_CLASSES:
        return "spec.loadBalancerClass"
    if text(annotations.get(f"{_AWS}type")) in _AWS_CONTROLLER_TYPES:
        return f"{_AWS}type"
    return ""
