"""What CONNECT requests carry. Source: the API reference of AdmissionReview and of the core group."""

from iocaudit.core.kinds.kind import Kind

POD_EXEC = Kind("", "v1", "PodExecOptions", "pods/exec")
POD_ATTACH = Kind("", "v1", "PodAttachOptions", "pods/attach")
POD_PORT_FORWARD = Kind("", "v1", "PodPortForwardOptions", "pods/portforward")
POD_PROXY = Kind("", "v1", "PodProxyOptions", "pods/proxy")
SERVICE_PROXY = Kind("", "v1", "ServiceProxyOptions", "services/proxy")
NODE_PROXY = Kind("", "v1", "NodeProxyOptions", "nodes/proxy", namespaced=False)
CONNECTIONS: tuple[Kind, ...] = (
    POD_EXEC,
    POD_ATTACH,
    POD_PORT_FORWARD,
    POD_PROXY,
    SERVICE_PROXY,
    NODE_PROXY,
)
"""What a CONNECT request carries; ``plural`` is resource/subresource."""
