"""The API server's own rate limiting. Source: the API reference of flowcontrol.apiserver.k8s.io."""

from iocaudit.core.kinds.kind import Kind

FLOW_SCHEMA = Kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", namespaced=False)
