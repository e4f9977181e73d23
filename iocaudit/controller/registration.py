"""Keeps certificates and the webhook configuration in step, from the first answer of the webhook on."""

from __future__ import annotations

import base64
import binascii
import contextlib
import logging
from collections.abc import Callable

from iocaudit.cluster.api import Api
from iocaudit.cluster.errors import ClusterError, NotFoundError
from iocaudit.cluster.writer import put
from iocaudit.controller.certificates import Certificates
from iocaudit.core.kinds import CLUSTER_ROLE
from iocaudit.core.own_names import OPERATOR, WEBHOOK_CONFIGURATION
from iocaudit.core.shape import Json, mapping, mappings, text
from iocaudit.engine.policy_set import PolicySet
from iocaudit.install.webhook_configuration import WebhookTarget, answers, configuration
from iocaudit.records.kinds import VALIDATING_WEBHOOK_CONFIGURATION
from iocaudit.serving.errors import CertificateError
from iocaudit.supervision.part import Stop

_log = logging.getLogger(__name__)


class Registration:
    """``registered`` says whether the configuration stands as it should, ``was_registered`` whether it ever did."""

    def __init__(
        self,
        client: Api,
        policies: Callable[[], PolicySet],
        certificates: Certificates,
        target: WebhookTarget,
        *,
        exclude: tuple[str, ...] = (),
    ) -> None:
        self._client, self._policies = client, policies
        self._certificates, self._target, self._exclude = certificates, target, exclude
        self._owned = target.url is None
        self.registered = self.was_registered = False
        self.expires = 0.0
        """Unix time at which the serving certificate expires."""

    def run(self, stop: Stop) -> None:
        """Look every second until registered, then every few, until ``stop``."""
        said = ""
        while not stop.is_set():
            try:
                reason = self.step()
            except (ClusterError, CertificateError, OSError) as error:
                # OSError: the folder that the certificates are also written to.
                reason = str(error)
            self.registered = reason is None
            self.was_registered |= self.registered
            if reason is not None and reason != said:
                _log.warning("webhook not registered as it should be: %s", reason)
            said = reason or ""
            stop.wait(5.0 if reason is None else 1.0)

    def step(self) -> str | None:
        """Bring everything one step further; why the configuration is not as it should be, or None.

        It belongs to our ClusterRole. Where that is gone, the manifests are being deleted, and writing the
        configuration again would leave it behind for good. Only a webhook registered by URL (outside a
        cluster) may never have had the role.
        """
        current = self._current()
        owner = self._owner()
        if owner is None and self._owned:
            return f"ClusterRole {OPERATOR} is gone, so our manifests are being removed: nothing is written"
        self._owned = self._owned or owner is not None
        state = self._certificates.step(_bundle(current))
        self.expires = state.leaf.certificate.not_valid_after_utc.timestamp()
        policies = self._policies()
        wanted = configuration(
            policies.catalogue,
            policies,
            self._target,
            state.ca_bundle,
            exclude=self._exclude,
            owner=owner,
        )
        if current is not None and _same(current, wanted):
            return None
        if reason := answers(self._target, state.ca_bundle):
            return f"the webhook does not answer yet: {reason}"
        if current is not None:
            wanted["metadata"]["resourceVersion"] = text(mapping(current.get("metadata")).get("resourceVersion"))
        put(self._client, VALIDATING_WEBHOOK_CONFIGURATION, wanted)
        _log.info("webhook configuration written", extra={"webhooks": len(wanted["webhooks"])})
        return None

    def _current(self) -> Json | None:
        try:
            return self._client.get(VALIDATING_WEBHOOK_CONFIGURATION, None, WEBHOOK_CONFIGURATION)
        except NotFoundError:
            return None

    def _owner(self) -> Json | None:
        """Our ClusterRole: what the configuration belongs to, so it goes when our manifests are deleted."""
        try:
            role = self._client.get(CLUSTER_ROLE, None, OPERATOR)
        except NotFoundError:
            return None
        uid = text(mapping(role.get("metadata")).get("uid"))
        return {"apiVersion": CLUSTER_ROLE.api_version, "kind": CLUSTER_ROLE.name, "name": OPERATOR, "uid": uid}


def _bundle(current: Json | None) -> bytes:
    """The bundle that API servers hold now, as far as it can be known: that of the first webhook."""
    for webhook in mappings(mapping(current).get("webhooks")):
        with contextlib.suppress(binascii.Error):
            return base64.b64decode(text(mapping(webhook.get("clientConfig")).get("caBundle")))
    return b""


def _same(current: Json, wanted: Json) -> bool:
    ours, theirs = wanted["metadata"], mapping(current.get("metadata"))
    said = [current.get("webhooks"), theirs.get("ownerReferences"), theirs.get("labels")]
    return said == [wanted["webhooks"], ours.get("ownerReferences"), ours["labels"]]
