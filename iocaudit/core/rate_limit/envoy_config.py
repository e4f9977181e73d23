"""Rate limit filters inside raw Envoy configuration, as EnvoyFilter and CiliumEnvoyConfig carry it.

Source: Envoy API, extensions.filters.http.local_ratelimit.v3.LocalRateLimit: without a token bucket nothing is
limited; ``filter_enabled`` and ``filter_enforced`` are runtime fractions that default to 0 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.rate_limit.values import number, seconds
from iocaudit.core.shape import Json, lookup, mapping, text

LOCAL = "envoy.filters.http.local_ratelimit"
_GLOBAL = "envoy.filters.http.ratelimit"
LOCAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_LOCAL_TYPE = "local_ratelimit.v3.LocalRateLimit"
_GLOBAL_TYPE = ("http.ratelimit.v3.RateLimit", "http.ratelimit.v3.RateLimitPerRoute")
_MOST_NODES = 20_000


@dataclass(frozen=True, slots=True)
class LocalLimit:
    """A local rate limit filter. ``rate`` is requests a second, None without a usable token bucket."""

    rate: float | None
    enabled: bool
    enforced: bool

    @property
    def effective(self) -> bool:
        return bool(self.rate) and self.enabled and self.enforced

    @property
    def fault(self) -> str:
        """Why it does nothing; empty where it limits."""
        if not self.rate:
            return "has no token bucket with tokens"
        if not self.enabled:
            return "is enabled for 0 % of requests (filter_enabled)"
        return "" if self.enforced else "is enforced for 0 % of requests (filter_enforced)"


def starter(stat_prefix: str) -> Json:
    """The configuration of a local rate limit filter that limits, with a rate to start from."""
    everybody = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    return {
        "stat_prefix": stat_prefix,
        "token_bucket": {"max_tokens": 40, "tokens_per_fill": 20, "fill_interval": "1s"},
        "filter_enabled": {"runtime_key": "local_rate_limit_enabled", **everybody},
        "filter_enforced": {"runtime_key": "local_rate_limit_enforced", **everybody},
    }


def local_limits(value: object) -> list[LocalLimit]:
    """Every local rate limit filter in a piece of configuration."""
    return [_local(config) for config in _configurations(value, LOCAL, (_LOCAL_TYPE,))]


def has_global_limit(value: object) -> bool:
    """Whether it holds a filter that asks a rate limit service."""
    return any(True for _ in _configurations(value, _GLOBAL, _GLOBAL_TYPE))


def _configurations(value: object, name: str, types: tuple[str, ...]) -> Iterator[Mapping[str, Any]]:
    """The configuration of each filter of a type; an empty one where only the filter's name stands there."""
    waiting = [value]
    seen = 0
    while waiting and seen < _MOST_NODES:
        node = waiting.pop()
        seen += 1
        if isinstance(node, list):
            waiting += node
            continue
        if not isinstance(node, dict):
            continue
        if text(node.get("type_url") or node.get("typeUrl")).endswith(types):
            yield mapping(node.get("value"))
            continue
        if text(node.get("@type")).endswith(types):
            yield node
            continue
        if node.get("name") == name and "typed_config" not in node and "typedConfig" not in node:
            yield {}
            continue
        waiting += node.values()


def _local(config: Mapping[str, Any]) -> LocalLimit:
    bucket = mapping(_either(config, "token_bucket", "tokenBucket"))
    tokens = number(_either(bucket, "max_tokens", "maxTokens"))
    per_fill = _either(bucket, "tokens_per_fill", "tokensPerFill")
    filled = number(per_fill) if per_fill is not None else 1.0
    interval = seconds(_either(bucket, "fill_interval", "fillInterval"))
    rate = filled / interval if tokens and filled and interval else None
    return LocalLimit(
        rate,
        _above_zero(_either(config, "filter_enabled", "filterEnabled")),
        _above_zero(_either(config, "filter_enforced", "filterEnforced")),
    )


def _either(holder: Mapping[str, Any], snake: str, camel: str) -> Any:
    return holder[snake] if snake in holder else holder.get(camel)


def _above_zero(fraction: object) -> bool:
    default = lookup(fraction, "default_value") or lookup(fraction, "defaultValue")
    return (number(lookup(default, "numerator")) or 0) > 0
