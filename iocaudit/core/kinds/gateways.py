"""The kinds of gateways and ingress controllers: routes, and what limits them. Source: each project's CRDs.

``version`` is the oldest one that the project still serves, so older installations can be read too.
"""

from iocaudit.core.kinds.kind import Kind

TRAEFIK_INGRESS_ROUTE = Kind("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes")
TRAEFIK_MIDDLEWARE = Kind("traefik.io", "v1alpha1", "Middleware", "middlewares")
LEGACY_TRAEFIK_INGRESS_ROUTE = Kind("traefik.containo.us", "v1alpha1", "IngressRoute", "ingressroutes")
LEGACY_TRAEFIK_MIDDLEWARE = Kind("traefik.containo.us", "v1alpha1", "Middleware", "middlewares")

KONG_PLUGIN = Kind("configuration.konghq.com", "v1", "KongPlugin", "kongplugins")
KONG_CLUSTER_PLUGIN = Kind(
    "configuration.konghq.com", "v1", "KongClusterPlugin", "kongclusterplugins", namespaced=False
)
KONG_CONSUMER = Kind("configuration.konghq.com", "v1", "KongConsumer", "kongconsumers")
KONG_CONSUMER_GROUP = Kind("configuration.konghq.com", "v1beta1", "KongConsumerGroup", "kongconsumergroups")

HTTP_PROXY = Kind("projectcontour.io", "v1", "HTTPProxy", "httpproxies")
CONTOUR_CONFIGURATION = Kind("projectcontour.io", "v1alpha1", "ContourConfiguration", "contourconfigurations")
CONTOUR_DEPLOYMENT = Kind("projectcontour.io", "v1alpha1", "ContourDeployment", "contourdeployments")

ISTIO_GATEWAY = Kind("networking.istio.io", "v1beta1", "Gateway", "gateways")
ISTIO_VIRTUAL_SERVICE = Kind("networking.istio.io", "v1beta1", "VirtualService", "virtualservices")
ENVOY_FILTER = Kind("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters")

BACKEND_TRAFFIC_POLICY = Kind("gateway.envoyproxy.io", "v1alpha1", "BackendTrafficPolicy", "backendtrafficpolicies")

NGINX_FABRIC_RATE_LIMIT = Kind("gateway.nginx.org", "v1alpha1", "RateLimitPolicy", "ratelimitpolicies")

NGINX_POLICY = Kind("k8s.nginx.org", "v1", "Policy", "policies")
NGINX_VIRTUAL_SERVER = Kind("k8s.nginx.org", "v1", "VirtualServer", "virtualservers")
NGINX_VIRTUAL_SERVER_ROUTE = Kind("k8s.nginx.org", "v1", "VirtualServerRoute", "virtualserverroutes")

APISIX_ROUTE = Kind("apisix.apache.org", "v2", "ApisixRoute", "apisixroutes")
APISIX_PLUGIN_CONFIG = Kind("apisix.apache.org", "v2", "ApisixPluginConfig", "apisixpluginconfigs")
APISIX_GLOBAL_RULE = Kind("apisix.apache.org", "v2", "ApisixGlobalRule", "apisixglobalrules")
APISIX_GATEWAY_PROXY = Kind("apisix.apache.org", "v1alpha1", "GatewayProxy", "gatewayproxies")
APISIX_GATEWAY_PLUGIN_CONFIG = Kind("apisix.apache.org", "v1alpha1", "PluginConfig", "pluginconfigs")

CILIUM_ENVOY_CONFIG = Kind("cilium.io", "v2", "CiliumEnvoyConfig", "ciliumenvoyconfigs")
CILIUM_CLUSTER_ENVOY_CONFIG = Kind(
    "cilium.io", "v2", "CiliumClusterwideEnvoyConfig", "ciliumclusterwideenvoyconfigs", namespaced=False
)

LINKERD_SERVER = Kind("policy.linkerd.io", "v1beta1", "Server", "servers")
LINKERD_RATE_LIMIT = Kind("policy.linkerd.io", "v1alpha1", "HTTPLocalRateLimitPolicy", "httplocalratelimitpolicies")

OPENSHIFT_ROUTE = Kind("route.openshift.io", "v1", "Route", "routes")

ALB_CLASS_PARAMS = Kind("elbv2.k8s.aws", "v1beta1", "IngressClassParams", "ingressclassparams", namespaced=False)
GKE_BACKEND_CONFIG = Kind("cloud.google.com", "v1", "BackendConfig", "backendconfigs")
GKE_BACKEND_POLICY = Kind("networking.gke.io", "v1", "GCPBackendPolicy", "gcpbackendpolicies")

KUADRANT_RATE_LIMIT = Kind("kuadrant.io", "v1", "RateLimitPolicy", "ratelimitpolicies")
