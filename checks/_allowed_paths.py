"""Which paths of the node a policy lets pods mount. Source: PodSecurityPolicy's allowedHostPaths."""

from iocaudit.core.check import Parameter, Params
from iocaudit.core.shape import text
from iocaudit.knowledge.host_path import is_below, normalise
from iocaudit.knowledge.pods.pod import PodSpec

ALLOWED = Parameter(
    "allowed",
    {
        "type": "array",
        "maxItems": 1000,
        "items": {
            "type": ["string", "object"],
            "minLength": 1,
            "properties": {"pathPrefix": {"type": "string", "minLength": 1}, "readOnly": {"type": "boolean"}},
            "required": ["pathPrefix"],
            "additionalProperties": False,
        },
    },
    "path prefixes (whole segments) that may be mounted; `{pathPrefix: /x, readOnly: true}` read-only alone",
    default=[],
    exempts=True,
)


class AllowedPaths:
    """The allowed prefixes, each with whether it may be mounted read-only alone, for the volumes of one pod."""

    def __init__(self, pod: PodSpec, params: Params) -> None:
        everything = params.get("readOnlyRequired") is True
        self._pod = pod
        self._written: frozenset[str] | None = None
        self._prefixes = [
            (normalise(entry), everything)
            if isinstance(entry, str)
            else (normalise(entry["pathPrefix"]), everything or entry.get("readOnly") is True)
            for entry in params["allowed"]
        ]

    def cover(self, where: str) -> bool:
        """Whether a normalised path is below an allowed prefix."""
        return any(is_below(where, prefix) for prefix, _ in self._prefixes)

    def let(self, volume: str, where: str) -> bool:
        """Whether the volume of that name may be mounted as it is, ``where`` being its normalised path."""
        covering = [read_only for prefix, read_only in self._prefixes if is_below(where, prefix)]
        return bool(covering) and not (all(covering) and self._is_written(volume))

    def _is_written(self, volume: str) -> bool:
        """Whether some container mounts it without read-only."""
        if self._written is None:
            self._written = frozenset(
                text(mount.get("name"))
                for container in self._pod.containers
                for mount in container.volume_mounts
                if mount.get("readOnly") is not True
            )
        return volume in self._written
