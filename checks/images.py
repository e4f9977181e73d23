"""Where images come from, and whether they can change under the same name."""

from collections.abc import Iterator

from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit
from iocaudit.core.image import ImagePattern
from iocaudit.core.kinds import PODS
from iocaudit.core.pod import PodSpec
from iocaudit.core.severity import IoC, Severity


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
            {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 1000},
            "registries, path prefixes and globs images may come from",
            required=True,
        ),
        string_list("denied", "registries, path prefixes and globs that are refused even below a trusted one"),
    ),
)
def untrusted_registry(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """An image comes from a registry that is not trusted.

    Whoever controls the registry controls the program that runs. The image is read as the container runtime
    does, so `nginx` is docker.io/library/nginx, and a prefix holds only at a segment border: `hooli.com/` does
    not cover `hooli.com.evil.io/`. Without a list of trusted registries the check is not configured.

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
    trusted = [ImagePattern.parse(pattern) for pattern in params["trusted"]]
    denied = [ImagePattern.parse(pattern) for pattern in params["denied"]]
    for container in pod.containers:
        if not container.image_text:
            continue
        image = container.image
        if image is None:
            yield container.hit(
                "image",
                f"has an image that is no valid reference: {container.image_text}",
                container.image_text,
            )
        elif any(pattern.matches(image) for pattern in denied):
            yield container.hit("image", f"uses image {container.image_text} from a denied registry", image.canonical)
        elif not any(pattern.matches(image) for pattern in trusted):
            yield container.hit(
                "image",
                f"uses image {container.image_text} from {image.registry}, which is not trusted",
                image.canonical,
            )


@check(
    "mutable-image-tag",
    severity=Severity.MEDIUM,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls={"attack": "T1204.003", "ms": "MS-TA9002", "owasp": "K04"},
    parameters=(string_list("tags", "tags that count as mutable, besides none", default=("latest",)),),
)
def mutable_image_tag(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """An image is named by a tag that moves.

    What `latest`, or no tag at all, means changes with every push: two nodes may run different programs, and
    a rollback or an investigation cannot tell which. A digest settles it.

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
    for container in pod.containers:
        image = container.image
        if image is None or image.digest:
            continue
        if not image.tag:
            yield container.hit("image", f"uses image {container.image_text} without a tag or digest", image.canonical)
        elif image.tag in tags:
            yield container.hit(
                "image",
                f"uses image {container.image_text} with the mutable tag {image.tag}",
                image.canonical,
            )
