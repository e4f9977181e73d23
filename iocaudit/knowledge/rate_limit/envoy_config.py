"""Rate limit filters inside raw Envoy configuration, as EnvoyFilter and CiliumEnvoyConfig carry it.

Source: Envoy API, extensions.filters.http.local_ratelimit.v3.LocalRateLimit: without a token bucket nothing is
limited; ``filter_enabled`` and ``filter_enforced`` are runtime fractions that default to 0 %; ``descriptors`` have
buckets of their own. RateLimit.Action: an entry of ``rate_limits`` is sent only where all of its actions have a value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iocaudit.core.shape import Json, lookup, mapping, mappings, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.rate_limit.conditions import ALWAYS_SENT, EVERYBODY, RequestScope, with_header
from iocaudit.knowledge.rate_limit.values import number, seconds

LOCAL = "envoy.filters.http.local_ratelimit"
_GLOBAL = "envoy.filters.http.ratelimit"
LOCAL_TYPE = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_LOCAL_TYPE = "local_ratelimit.v3.LocalRateLimit"
_GLOBAL_TYPE = ("http.ratelimit.v3.RateLimit", "http.ratelimit.v3.RateLimitPerRoute")
_MOST_NODES = 20_000
_ROUTE = frozenset(
    {"route", "redirect", "direct_response", "directResponse", "typed_per_filter_config", "typedPerFilterConfig"}
)


@dataclass(frozen=True, slots=True)
class LocalLimit:
    """A local rate limit filter. ``rate`` is requests a second, None without a usable token bucket."""

    rate: float | None
    enabled: float
    enforced: float
    """What share of requests it looks at, and refuses where they are too many."""
    descriptors: tuple[tuple[RequestScope, float], ...] = ()
    """Buckets of their own for some requests."""

    @property
    def effective(self) -> bool:
        return bool(self.rate or self.descriptors) and self.enabled > 0 and self.enforced > 0

    def rules(self, place: str) -> Iterator[tuple[RequestScope, float]]:
        """Whom it limits, seen from where it stands, and how many requests a second it lets through."""
        if not self.effective:
            return
        share = min(self.enabled, 1.0) * min(self.enforced, 1.0)
        said = [*([place] if place else ()), *([f"{share:.3g} of all requests by chance"] if share < 1 else ())]
        if self.rate:
            yield RequestScope(" and ".join(said)), self.rate
        for scope, rate in self.descriptors:
            if scope.words or said:
                yield RequestScope(" and ".join((*said, *([scope.words] if scope.words else ())))), rate
            else:
                yield scope, rate

    @property
    def fault(self) -> str:
        """Why it does nothing; empty where it limits."""
        if not self.rate and not self.descriptors:
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
    return [_local(config) for _, config in _configurations(value, LOCAL, (_LOCAL_TYPE,))]


def local_rules(value: object, place: str = "") -> list[tuple[RequestScope, float]]:
    """Whom the local rate limits in a piece of configuration limit, which itself holds for ``place``."""
    return [
        rule
        for inside, config in _configurations(value, LOCAL, (_LOCAL_TYPE,), place)
        for rule in _local(config).rules(inside)
    ]


def has_global_limit(value: object) -> bool:
    """Whether it holds a filter that asks a rate limit service."""
    return any(True for _ in _configurations(value, _GLOBAL, _GLOBAL_TYPE))


def sent_descriptors(value: object, place: str = "") -> list[RequestScope]:
    """For which requests the rate limit service is asked: those for which all actions of an entry have a value."""
    found = []
    for inside, node in _nodes(value, place):
        for entry in mappings(_either(node, "rate_limits", "rateLimits")):
            scopes = [scope for action in mappings(entry.get("actions")) for scope in _sent(action)]
            words = [*([inside] if inside else ()), *dict.fromkeys(scope.words for scope in scopes)]
            found.append(scopes[0] if len(scopes) == len(words) == 1 else RequestScope(" and ".join(words)))
    return found


def _sent(action: Mapping[str, Any]) -> Iterator[RequestScope]:
    """The conditions of one action of a rate limit."""
    header = mapping(_either(action, "request_headers", "requestHeaders"))
    name = text(_either(header, "header_name", "headerName"))
    if name and name.lower() not in ALWAYS_SENT and _either(header, "skip_if_absent", "skipIfAbsent") is not True:
        yield RequestScope(with_header(name))
    for snake, camel, what in (
        ("header_value_match", "headerValueMatch", "headers"),
        ("query_parameter_value_match", "queryParameterValueMatch", "query parameters"),
    ):
        match = _either(action, snake, camel)
        if isinstance(match, dict):
            value = text(_either(match, "descriptor_value", "descriptorValue"))
            inverted = _either(match, "expect_match", "expectMatch") is False
            words = f"requests whose {what} {'do not match' if inverted else 'match'} {clip(value, 80)}"
            wanted = match.get("headers") or _either(match, "query_parameters", "queryParameters")
            yield RequestScope(words, (), json.dumps(wanted, sort_keys=True, default=str), inverted)
    metadata = mapping(action.get("metadata") or _either(action, "dynamic_metadata", "dynamicMetadata"))
    if metadata and not text(_either(metadata, "default_value", "defaultValue")):
        key = text(_either(metadata, "descriptor_key", "descriptorKey"))
        yield RequestScope(f"requests with metadata for {clip(key, 80)}")


def _configurations(
    value: object, name: str, types: tuple[str, ...], place: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The configuration of each filter of a type, and which requests meet it.

    It is an empty one where only the filter's name stands there.
    """
    for inside, node in _nodes(value, place, types):
        if text(node.get("type_url") or node.get("typeUrl")).endswith(types):
            yield inside, mapping(node.get("value"))
        elif text(node.get("@type")).endswith(types):
            yield inside, node
        elif node.get("name") == name and "typed_config" not in node and "typedConfig" not in node:
            yield inside, {}


def _nodes(value: object, place: str, ends: tuple[str, ...] = ()) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every map of a piece of configuration, and which requests meet what stands in it; none below those of a type."""
    waiting: list[tuple[str, Any]] = [(place, value)]
    seen = 0
    while waiting and seen < _MOST_NODES:
        inside, node = waiting.pop()
        seen += 1
        if isinstance(node, list):
            waiting += [(inside, one) for one in node]
            continue
        if not isinstance(node, dict):
            continue
        inside = _narrowed(inside, node)
        yield inside, node
        if not ends or not text(node.get("type_url") or node.get("typeUrl") or node.get("@type")).endswith(ends):
            waiting += [(inside, one) for one in node.values()]


def _narrowed(place: str, node: Mapping[str, Any]) -> str:
    """Which requests meet a route or a virtual host of Envoy's."""
    domains = node.get("domains")
    if isinstance(domains, list):
        names = [one for one in domains if isinstance(one, str)]
        return place if "*" in names or not names else f"requests to {clip(', '.join(names[:3]), 80)}"
    match = node.get("match")
    if isinstance(match, dict) and not _ROUTE.isdisjoint(node):
        path = text(
            match.get("prefix") or match.get("path") or _either(match, "path_separated_prefix", "pathSeparatedPrefix")
        )
        regex = text(lookup(match, "safe_regex", "regex") or lookup(match, "safeRegex", "regex"))
        if match.get("prefix") != "/" and (path or regex) and regex not in (".*", "/.*"):
            return f"requests of path {clip(path or regex, 80)}"
        if mappings(match.get("headers")):
            return "requests whose headers match"
    return place


def _local(config: Mapping[str, Any]) -> LocalLimit:
    rate = _rate(_either(config, "token_bucket", "tokenBucket"))
    descriptors = tuple(
        (_described(one), own)
        for one in mappings(config.get("descriptors"))
        if (own := _rate(_either(one, "token_bucket", "tokenBucket")))
    )
    return LocalLimit(
        rate,
        _share(_either(config, "filter_enabled", "filterEnabled")),
        _share(_either(config, "filter_enforced", "filterEnforced")),
        descriptors,
    )


def _described(descriptor: Mapping[str, Any]) -> RequestScope:
    """The requests that a bucket of its own is for: those whose actions give all of its entries."""
    entries = mappings(descriptor.get("entries"))
    said = [
        f"{text(one.get('key'))} {text(one.get('value'))}".strip()
        for one in entries
        if text(one.get("value")) or text(one.get("key")) not in ("remote_address", "masked_remote_address")
    ]
    return RequestScope(f"requests with descriptor {clip(', '.join(said), 80)}") if said else EVERYBODY


def _rate(bucket_of: object) -> float | None:
    """Requests a second of a token bucket; None without one that can be used."""
    bucket = mapping(bucket_of)
    tokens = number(_either(bucket, "max_tokens", "maxTokens"))
    per_fill = _either(bucket, "tokens_per_fill", "tokensPerFill")
    filled = number(per_fill) if per_fill is not None else 1.0
    interval = seconds(_either(bucket, "fill_interval", "fillInterval"))
    return filled / interval if tokens and filled and interval else None


def _either(holder: Mapping[str, Any], snake: str, camel: str) -> Any:
    return holder[snake] if snake in holder else holder.get(camel)


_DENOMINATORS = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}


def _share(fraction: object) -> float:
    """The share of requests that a runtime fraction means by default."""
    default = lookup(fraction, "default_value") or lookup(fraction, "defaultValue")
    whole = _DENOMINATORS.get(text(lookup(default, "denominator")), 100)
    return (number(lookup(default, "numerator")) or 0.0) / whole
