"""The kinds of the Gateway API that say what traffic enters where. Source: kubernetes-sigs/gateway-api, its CRDs."""

from iocaudit.core.kinds.kind import Kind

GROUP = "gateway.networking.k8s.io"
GATEWAY_CLASS = Kind(GROUP, "v1", "GatewayClass", "gatewayclasses", namespaced=False)
GATEWAY = Kind(GROUP, "v1", "Gateway", "gateways")
LISTENER_SET = Kind(GROUP, "v1", "ListenerSet", "listenersets")
EXPERIMENTAL_LISTENER_SET = Kind("gateway.networking.x-k8s.io", "v1alpha1", "XListenerSet", "xlistenersets")
HTTP_ROUTE = Kind(GROUP, "v1", "HTTPRoute", "httproutes")
GRPC_ROUTE = Kind(GROUP, "v1", "GRPCRoute", "grpcroutes")
REFERENCE_GRANT = Kind(GROUP, "v1beta1", "ReferenceGrant", "referencegrants")
