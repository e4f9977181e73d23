"""Where images come from, and whether they can change under the same name."""

from collections.abc import Iterator
from typing import NamedTuple

from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.image import DEFAULT_TAG, ImagePatterns, ImageReference, glob
from iocaudit.core.kinds import PODS
from iocaudit.core.pod import PodSpec
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, text
from iocaudit.core.wording import clip

_PATTERNS = {
    "type": "array",
    "items": {"type": "string", "maxLength": 500, "pattern": r"^[^\s/]\S*$"},
    "maxItems": 1000,
}


class _Use(NamedTuple):
    """One place where a pod names an image: a container, or a volume of type image (KEP-4639)."""

    path: str
    who: str
    text: str
    image: ImageReference | None

    def hit(self, message: str) -> Hit:
        evidence = self.image.canonical if self.image else self.text
        return Hit(self.path, f"{self.who} {message}", evidence)


def _uses(pod: PodSpec) -> Iterator[_Use]:
    for container in pod.containers:
        if container.image_text:
            yield _Use(f"{container.path}.image", container.title, container.image_text, container.image)
    for index, volume in enumerate(pod.volumes):
        reference = text(lookup(volume, "image", "reference"))
        if reference:
            name = clip(text(volume.get("name")))
            yield _Use(
                f"{pod.volume_path(volume, index)}.image.reference",
                f'volume "{name}"',
                reference,
                ImageReference.parse_or_none(reference),
            )


@check(
    "untrusted-registry",
    severity=Severity.HIGH,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls={"cis-1.12": "5.5.1", "attack": "T1525", "ms": "MS-TA9002", "owasp": "K04"},
    parameters=(
        Parameter(
            "trusted",
            _PATTERNS,
            "registries, path prefixes, images and globs that images may come from; not needed where denied is set",
            required=True,
            unless=("denied",),
        ),
        Parameter(
            "denied",
            _PATTERNS,
            "registries, path prefixes, images and globs that are refused, even below a trusted one",
            default=[],
        ),
    ),
)
def untrusted_registry(pod: PodSpec, params: Params) -> Iterator[Hit | Skip]:
    """An image comes from a registry that is not trusted.

    Whoever controls the registry controls the program that runs. The image is read as the container runtime
    does, so `nginx` is docker.io/library/nginx, and a prefix holds only at a segment border: `hooli.com/` does
    not cover `hooli.com.evil.io/`. Image volumes count like containers.

    Lists hold hosts (`hooli.com`), path prefixes (`docker.io/acme/`), images (`ubuntu:22.04`) and globs
    (`*.gcr.io/team-*/`; `*` within a segment, `**` across segments). A trusted host without a port means the
    port of HTTPS, a denied one every port. What no runtime can read is not trusted. With only `denied` set,
    everything else is allowed; with neither, the check is not configured.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com.evil.io/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Policy:

        trusted: [hooli.com/]

    Fix: Copy the image into a trusted registry and name it there, or add the registry to the policy.

    Sources: CIS Kubernetes Benchmark 1.12, 5.5.1; the reference grammar of distribution/reference.
    """
    trusted = ImagePatterns.of(tuple(params.get("trusted") or ()))
    denied = ImagePatterns.of(tuple(params["denied"]), any_port=True)
    for use in _uses(pod):
        written = clip(use.text)
        if use.image is None:
            if trusted:
                yield use.hit(f"has an image that is no valid reference: {written}")
            else:
                yield Skip(f"{use.path}: {written} is no image reference, so no registry could be judged")
        elif denied.cover(use.image):
            yield use.hit(f"uses image {written} from {use.image.registry}, which is denied")
        elif trusted and not trusted.cover(use.image):
            yield use.hit(f"uses image {written} from {use.image.registry}, which is not trusted")


@check(
    "mutable-image-tag",
    severity=Severity.MEDIUM,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls={"attack": "T1204.003", "ms": "MS-TA9002", "owasp": "K04"},
    parameters=(string_list("tags", "further tags that count as mutable; `*` stands for any run"),),
)
def mutable_image_tag(pod: PodSpec, params: Params) -> Iterator[Hit | Skip]:
    """An image is named by a tag that moves.

    What `latest`, or no tag at all, means changes with every push: two nodes may run different programs, and
    a rollback or an investigation cannot tell which. A digest settles it, whatever tag stands beside it.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:latest"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Fix: Name a version that is never pushed again, best with its digest.

    Sources: Kubernetes documentation, Images.
    """
    tags = params["tags"]
    for use in _uses(pod):
        image, written = use.image, clip(use.text)
        if image is None:
            yield Skip(f"{use.path}: {written} is no image reference, so no tag could be judged")
        elif image.digest:
            continue
        elif not image.tag:
            yield use.hit(f"uses image {written} without a tag or digest")
        elif image.tag == DEFAULT_TAG or any(glob(pattern, image.tag) for pattern in tags):
            yield use.hit(f"uses image {written} with the mutable tag {image.tag}")
