"""The gateways that are known, and what follows from them."""

from iocaudit.core.kinds import Kind
from iocaudit.knowledge.rate_limit.apisix import APISIX
from iocaudit.knowledge.rate_limit.cilium import CILIUM
from iocaudit.knowledge.rate_limit.clouds import ALB, GKE
from iocaudit.knowledge.rate_limit.contour import CONTOUR
from iocaudit.knowledge.rate_limit.envoy_gateway import ENVOY_GATEWAY
from iocaudit.knowledge.rate_limit.gateway import Gateway
from iocaudit.knowledge.rate_limit.haproxy import HAPROXY_INGRESS, HAPROXY_TECHNOLOGIES
from iocaudit.knowledge.rate_limit.ingress_nginx import INGRESS_NGINX
from iocaudit.knowledge.rate_limit.istio import ISTIO
from iocaudit.knowledge.rate_limit.kong import KONG
from iocaudit.knowledge.rate_limit.kuadrant import KUADRANT
from iocaudit.knowledge.rate_limit.linkerd import LINKERD
from iocaudit.knowledge.rate_limit.nginx_fabric import NGINX_FABRIC
from iocaudit.knowledge.rate_limit.nginx_inc import NGINX_INC
from iocaudit.knowledge.rate_limit.openshift import OPENSHIFT
from iocaudit.knowledge.rate_limit.traefik import TRAEFIK

GATEWAYS: tuple[Gateway, ...] = (
    INGRESS_NGINX,
    NGINX_INC,
    TRAEFIK,
    KONG,
    HAPROXY_TECHNOLOGIES,
    HAPROXY_INGRESS,
    CONTOUR,
    ISTIO,
    ENVOY_GATEWAY,
    NGINX_FABRIC,
    APISIX,
    CILIUM,
    LINKERD,
    OPENSHIFT,
    ALB,
    GKE,
    KUADRANT,
)
"""In the order in which they are named where several are meant."""

LOOKED_UP: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.looks_up))
"""Every kind that some gateway looks up beyond the route."""

FILTERS: frozenset[tuple[str, str]] = frozenset(one for gateway in GATEWAYS for one in gateway.filters)
"""Group and kind of the filters of which some gateway knows whether they limit."""

ROUTES: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.routes))
"""The route kinds that are some gateway's own."""

LIMITS: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.limits))
"""The kinds that limits stand in."""
