"""The kinds of gateways and ingress controllers: routes, and what limits them. Source: each project's CRDs."""

from iocaudit.core.kinds.kind import Kind

TRAEFIK_INGRESS_ROUTE = Kind("traefik.io", "v1alpha1", "IngressRoute", "ingressroutes")
TRAEFIK_MIDDLEWARE = Kind("traefik.io", "v1alpha1", "Middleware", "middlewares")
LEGACY_TRAEFIK_INGRESS_ROUTE = Kind("traefik.containo.us", "v1alpha1", "IngressRoute", "ingressroutes")
LEGACY_TRAEFIK_MIDDLEWARE = Kind("traefik.containo.us", "v1alpha1", "Middleware", "middlewares")
