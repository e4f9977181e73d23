"""The gateways that are known, and what follows from them."""

from iocaudit.core.kinds import Kind
from iocaudit.core.rate_limit.gateway import Gateway
from iocaudit.core.rate_limit.ingress_nginx import INGRESS_NGINX
from iocaudit.core.rate_limit.nginx_inc import NGINX_INC
from iocaudit.core.rate_limit.traefik import TRAEFIK

GATEWAYS: tuple[Gateway, ...] = (INGRESS_NGINX, NGINX_INC, TRAEFIK)

LOOKED_UP: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.looks_up))
"""Every kind that some gateway looks up beyond the route."""

ROUTES: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.routes))
"""The route kinds that are some gateway's own."""

LIMITS: tuple[Kind, ...] = tuple(dict.fromkeys(kind for gateway in GATEWAYS for kind in gateway.limits))
"""The kinds that limits stand in."""
