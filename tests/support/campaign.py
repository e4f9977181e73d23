"""A campaign against receivers: forged, replayed, reordered, cut, oversized and hostile signals of two senders."""

from __future__ import annotations

import json
import random

from iocaudit.signals.signal import SignalSource
from tests.support.audit_events import Json
from tests.support.signal_posts import CONTAINER, alert_message, falco_alert

NAMES = [
    *(
        "shop",
        "victim",
        "kube-system",
        "",
        "\x00",
        "\x1b[2J",
        "\u202ekcatta",
        "sho\u200bp",
        "\u0455h\u043e\u0440",
        "../shop",
        "shop/../victim",
    ),
    *("a" * 5_000, "iocaudit", "*", "shop\n", " shop", "Shop", "'; DROP TABLE batch; --", "{{7*7}}", "\ud800"),
]
CONTAINERS = [
    CONTAINER,
    CONTAINER[:12],
    CONTAINER[:11],
    "f" * 64,
    "",
    "0" * 12,
    CONTAINER.upper(),
    f" {CONTAINER}",
    "*",
]
NODES = ["node-1", "node-2", "", "node-1.evil.example", "NODE-1", "node-1\x00", "*", "a" * 5_000]
TIMES = [
    "2026-11-30T10:00:00Z",
    "1970-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "yesterday",
    "",
    "2026-11-30T10:00:00+23:59",
]


class Campaign:
    """Made by one seed: bodies for both senders, of which some are sent again, cut, or in another's place."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def bodies(self, count: int) -> list[tuple[str, SignalSource, bytes]]:
        sent: list[tuple[str, SignalSource, bytes]] = []
        for _ in range(count):
            if sent and self.random.random() < 0.2:
                sent.append(self.random.choice(sent))  # replayed
                continue
            by, source, raw = self.random.choice([self._falco, self._alerts])()
            body = json.dumps(raw).encode("utf-8", "surrogatepass")
            if self.random.random() < 0.1:
                body = body[: self.random.randrange(len(body))]
            sent.append((by, source, body))
        self.random.shuffle(sent)
        return sent

    def _falco(self) -> tuple[str, SignalSource, Json]:
        pick = self.random.choice
        fields = {"container.id": pick(CONTAINERS), "k8s.ns.name": pick(NAMES), "k8s.pod.name": pick(NAMES)}
        fields |= {
            "user.name": pick(NAMES),
            "ka.user.name": pick(NAMES),
            "ka.sourceips": pick(NAMES),
            "proc.name": "xmrig",
        }
        raw = falco_alert(
            node=pick(NODES), time=pick(TIMES), output_fields=fields, priority=pick(["critical", "", "x"])
        )
        raw["rule"] = pick(["Terminal shell in container", "Write below etc", *NAMES[:8]])
        return "falco", SignalSource.FALCO, raw

    def _alerts(self) -> tuple[str, SignalSource, Json]:
        pick = self.random.choice
        raw = alert_message(pick(NAMES), pod=pick(NAMES), node=pick(NODES), workload=pick(NAMES), alertname=pick(NAMES))
        raw["alerts"][0] |= {
            "startsAt": pick(TIMES),
            "fingerprint": pick(NAMES),
            "status": pick(["firing", "resolved", 7]),
        }
        return "shop-alerts", SignalSource.ALERTMANAGER, raw
