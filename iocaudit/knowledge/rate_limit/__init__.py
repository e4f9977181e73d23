"""Rate limits of every gateway: what limits a route, how it is attached, and what makes a limit do nothing.

One module a gateway, each with one ``Gateway`` that ``registry`` lists. ``verdict`` has the answers they give,
``classes`` tells which controller serves an Ingress, ``parents`` which serves a route of the Gateway API,
``attachment`` which policies target an object.
"""
