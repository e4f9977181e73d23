"""Containers that open a port on the node."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check
from iocaudit.core.hit import Hit
from iocaudit.core.kinds import PODS
from iocaudit.core.repair import remove
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import integer, items, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.pods.pod import PodSpec

_EVERY_ADDRESS = ("", "0.0.0.0")  # what an absent hostIP means to the kubelet


@check(
    "host-port",
    severity=Severity.MEDIUM,
    iocs=(IoC.INBOUND_TRAFFIC,),
    group="pods",
    looks_at=PODS,
    fields=("ports",),
    controls={
        "pss": "baseline/hostPorts",
        "cis-1.12": "5.2.12",
        "attack": "T1133",
        "ms": "MS-TA9005",
        "owasp": "K01",
        "nsa": "Pod security enforcement",
    },
    parameters=(
        Parameter(
            "allowed",
            {
                "type": "array",
                "maxItems": 100,
                "items": {
                    "type": "object",
                    "required": ["min", "max"],
                    "additionalProperties": False,
                    "properties": {
                        "min": {"type": "integer", "minimum": 0, "maximum": 65535},
                        "max": {"type": "integer", "minimum": 0, "maximum": 65535},
                    },
                },
            },
            "ranges of host ports that may be used, bounds included",
            default=[],
            exempts=True,
        ),
    ),
)
def host_port(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """A container opens a port on the node.

    The port is reachable on every address of the node, past Services and often past NetworkPolicies. Under
    hostNetwork the API server fills hostPort in from containerPort; such a port counts under host-network only,
    unless the policy sets ranges: those bound it too.
    A `hostIP` narrows the port to one address of the node; it is named and flagged all the same.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            ports: [{containerPort: 8080, hostPort: 80}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web:1.4
            ports: [{containerPort: 8080}]

    Fix: Remove `hostPort` and expose the container through a Service.

    Sources: Kubernetes Pod Security Standards, baseline, Host Ports.
    """
    ranges = [(entry["min"], entry["max"]) for entry in params["allowed"]]
    for container in pod.containers:
        for index, port in enumerate(items(container.raw.get("ports"))):
            if not isinstance(port, dict):
                continue
            number = integer(port.get("hostPort"))
            if not number or any(low <= number <= high for low, high in ranges):
                continue
            if pod.host_network and not ranges and number == integer(port.get("containerPort")):
                continue
            where = f"{number}/{text(port.get('protocol')) or 'TCP'}"
            address = text(port.get("hostIP"))
            if address not in _EVERY_ADDRESS:
                where = f"{address}:{where}"
            at = f"{container.path}.ports[{index}]"
            undo = remove(f"{at}.hostPort", f"{at}.hostIP")
            yield container.hit("ports", f"opens host port {clip(where)}", where, repair=undo)
