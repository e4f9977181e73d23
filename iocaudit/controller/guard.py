"""Tries how API servers call our own webhooks: whether the CA bundle of each configuration verifies who answers."""

from __future__ import annotations

import base64
import socket
import ssl

from iocaudit.core.guard import DENY, WebhookClient, certificates, client_of
from iocaudit.core.kinds.builtin import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.core.shape import mappings
from iocaudit.core.world import World

_SECONDS = 3.0
_MOST = 16
"""How many different ways to call us are tried; anybody may store configurations that name our webhook."""


def untrusted(world: World) -> dict[WebhookClient, str]:
    """Those of our webhooks whose certificate is not verified by what their configuration says, and why.

    An unreachable webhook is not among them: only an answer shows a fault.
    """
    clients = {
        client_of(webhook): None
        for found in world.all(VALIDATING_WEBHOOK_CONFIGURATION)
        for webhook in mappings(found.raw.get("webhooks"))
        if webhook.get("name") == DENY
    }
    called = sorted(client for client in clients if client.host and certificates(client.bundle))
    return {client: reason for client in called[:_MOST] if (reason := refusal(client)) is not None}


def refusal(client: WebhookClient) -> str | None:
    """Why what answers is not verified; None where it is, or nothing answers."""
    try:
        # Between the certificates may stand text of any kind, which ssl would not take.
        context = ssl.create_default_context(cadata=base64.b64decode(client.bundle).decode("ascii", "ignore"))
    except ssl.SSLError as error:
        return f"its certificates cannot be read ({error.reason or error})"
    # As the API server verifies: any certificate of the bundle is a root, and none is refused for its extensions.
    context.verify_flags = (context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT
    try:
        with (
            socket.create_connection((client.host, client.port), _SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=client.host),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return f"{client.host}:{client.port}: {error.verify_message}"
    except (OSError, ValueError, OverflowError):  # nothing answers, or nothing can: not a host, or not a port
        return None
