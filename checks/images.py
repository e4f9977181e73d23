"""Where images come from, and whether they can change under the same name."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from iocaudit.core.check import Parameter, Params, check, string_list
from iocaudit.core.hit import Hit, Skip
from iocaudit.core.kinds import PODS
from iocaudit.core.place import Place
from iocaudit.core.repair import put
from iocaudit.core.severity import IoC, Severity
from iocaudit.core.shape import lookup, text
from iocaudit.knowledge.clipping import clip
from iocaudit.knowledge.image import DEFAULT_TAG, ImagePatterns, ImageReference, glob, repository_of
from iocaudit.knowledge.pods.pod import Container, PodSpec

_CONTROLS = {
    "cis-1.12": "5.5.1",
    "attack": "T1525",
    "ms": "MS-TA9002",
    "owasp": "K04",
    "nsa": "Building secure container images",
}
_PATTERNS = {
    "type": "array",
    "items": {"type": "string", "maxLength": 500, "pattern": r"^[^\s/]\S*$"},
    "maxItems": 1000,
}


class _Use(NamedTuple):
    """One place where a pod names an image: a container, or a volume of type image (KEP-4639)."""

    text: str
    image: ImageReference | None
    pod: PodSpec
    container: Container | None
    number: int = 0
    """The position of the volume."""

    @property
    def path(self) -> str:
        if self.container is not None:
            return f"{self.container.path}.image"
        return f"{self.pod.volume_path(self.pod.volumes[self.number], self.number)}.image.reference"

    @property
    def who(self) -> str:
        if self.container is not None:
            return self.container.title
        return f'volume "{clip(text(self.pod.volumes[self.number].get("name")))}"'

    def hit(self, message: str, *, version: bool = False) -> Hit:
        """``version`` where it is the tag that is bad: elsewhere the next one from the same repository is not
        better."""
        evidence = self.image.canonical if version and self.image else repository_of(self.text)
        return Hit(self.path, f"{self.who} {message}", evidence, about=self.text)


def _uses(pod: PodSpec) -> Iterator[_Use]:
    for container in pod.containers:
        if container.image_text:
            yield _Use(container.image_text, container.image, pod, container)
    for index, volume in enumerate(pod.volumes):
        reference = text(lookup(volume, "image", "reference"))
        if reference:
            yield _Use(reference, ImageReference.parse_or_none(reference), pod, None, index)


@check(
    "untrusted-registry",
    severity=Severity.HIGH,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls={**_CONTROLS, "attack": "T1204.003, T1525"},
    parameters=(
        Parameter(
            "trusted",
            _PATTERNS,
            "registries, path prefixes, images and globs that images may come from; not needed where denied is set",
            required=True,
            unless=("denied",),
            exempts=True,
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

    Anyone who controls the registry controls the program that runs. The image is read as the container runtime
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
                yield use.hit(f"has an image that is not a valid reference: {written}")
            else:
                yield Skip(f"{use.path}: {written} is not an image reference, so no registry could be judged")
        elif denied.cover(use.image):
            why = f"uses image {written} from {use.image.registry}, which is denied"
            yield use.hit(why, version=denied.tell_versions(use.image))
        elif trusted and not trusted.cover(use.image):
            why = f"uses image {written} from {use.image.registry}, which is not trusted"
            yield use.hit(why, version=trusted.tell_versions(use.image))


@check(
    "mutable-image-tag",
    severity=Severity.MEDIUM,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls={**_CONTROLS, "attack": "T1204.003, T1525"},
    parameters=(string_list("tags", "further tags that count as mutable; `*` stands for any run"),),
    implies={Place.SAME: ("image-without-digest",)},
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
        image = use.image
        if image is None:
            yield Skip(f"{use.path}: {clip(use.text)} is not an image reference, so no tag could be judged")
        elif image.digest:
            continue
        elif not image.tag:
            yield use.hit(f"uses image {clip(use.text)} without a tag or digest", version=True)
        elif image.tag == DEFAULT_TAG or any(glob(pattern, image.tag) for pattern in tags):
            yield use.hit(f"uses image {clip(use.text)} with the mutable tag {image.tag}", version=True)


_RETIRED = {
    "k8s.gcr.io": "frozen since April 2023 and redirected to registry.k8s.io",
    "gcr.io/google_containers": "frozen and redirected to registry.k8s.io",
    "gcr.io/google-containers": "frozen and redirected to registry.k8s.io",
    "docker.pkg.github.com": "shut down in favour of ghcr.io",
    "cloud.docker.com": "gone",
    "registry.svc.ci.openshift.org": "gone",
    "gcr.io/kubernetes-helm": "gone with Helm 2",
    "docker.io/bitnami": "moved to bitnamilegacy in 2025 and no longer updated",
    "docker.io/bitnamilegacy": "an archive that gets no updates",
}


@check(
    "retired-registry",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    controls=_CONTROLS,
    parameters=(
        Parameter(
            "further", _PATTERNS, "further registries, path prefixes, images and globs that are retired", default=[]
        ),
    ),
)
def retired_registry(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """An image comes from a registry that is frozen or gone.

    Nothing there is patched any more, and a name that was given up may one day belong to someone else. Known
    are k8s.gcr.io, gcr.io/google_containers, docker.pkg.github.com and a few more.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "k8s.gcr.io/pause:3.9"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "registry.k8s.io/pause:3.9"}]

    Fix: Take the image from where its project publishes it now.

    Sources: Kubernetes blog, k8s.gcr.io Image Registry Will Be Frozen From the 3rd of April 2023.
    """
    further = ImagePatterns.of(tuple(params["further"]))
    for use in _uses(pod):
        if use.image is None:
            continue
        found = _retired(use.image.name)
        if found is not None:
            where, why = found
            yield use.hit(f"uses image {clip(use.text)} from {where}, which is {why}")
        elif further and further.cover(use.image):
            yield use.hit(f"uses image {clip(use.text)} from {use.image.registry}, which the policy lists as retired")


@lru_cache(maxsize=4096)
def _retired(name: str) -> tuple[str, str] | None:
    """The retired registry or path that an image's name lies in, and what became of it."""
    parts = name.split("/")
    for length in (1, 2):
        where = "/".join(parts[:length])
        if where in _RETIRED:
            return where, _RETIRED[where]
    return None


@check(
    "image-without-digest",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    profile="strict",
    controls=_CONTROLS,
)
def image_without_digest(pod: PodSpec) -> Iterator[Hit | Skip]:
    """An image is not pinned by its digest.

    A tag says what its owner wants today: anyone who may push decides what runs tomorrow. A digest is the content: of
    sha256, sha384 or sha512, with all of its digits and in lower case. A runtime refuses any other, so it pins
    nothing.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:1.4"}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers:
          - name: app
            image: hooli.com/shop/web@sha256:0f3d2a1c5b6e7d8f9a0b1c2d3e4f5a6b7c8d9e0f1a2b3c4d5e6f708192a3b4c5

    Fix: Name the image by digest; let a tool that updates images update the digest too.

    Sources: Kubernetes documentation, Images, Image names.
    """
    for use in _uses(pod):
        if use.image is None:
            if "@" in use.text:
                why = ImageReference.fault(use.text)
                yield use.hit(f"uses image {clip(use.text)}, which is not an image reference: {why}")
            else:
                yield Skip(f"{use.path}: {clip(use.text)} is not an image reference, so no digest could be judged")
        elif not use.image.digest:
            yield use.hit(f"uses image {clip(use.text)} without a digest")


@check(
    "pull-policy-not-always",
    severity=Severity.LOW,
    iocs=(IoC.UNKNOWN_BINARY,),
    group="images",
    looks_at=PODS,
    profile="strict",
    controls=_CONTROLS,
    parameters=(string_list("tags", "further tags that count as mutable; `*` stands for any run"),),
)
def pull_policy_not_always(pod: PodSpec, params: Params) -> Iterator[Hit]:
    """An image by a moving tag is taken from the node's own store.

    With `IfNotPresent` or `Never` a pod runs whatever image of that name the node has: an old one, or one that
    another tenant pulled with credentials this pod does not have. Under `Always` the registry is asked, for the
    content and for the right to it.

    Bad:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:latest", imagePullPolicy: IfNotPresent}]

    Good:

        apiVersion: v1
        kind: Pod
        metadata: {name: web, namespace: shop}
        spec:
          containers: [{name: app, image: "hooli.com/shop/web:latest", imagePullPolicy: Always}]

    Fix: Set `imagePullPolicy: Always`, or name the image by digest.

    Sources: Kubernetes documentation, Images, Image pull policy; AlwaysPullImages admission controller.
    """
    tags = params["tags"]
    for container in pod.containers:
        policy, image = text(container.raw.get("imagePullPolicy")), container.image
        if policy not in ("IfNotPresent", "Never") or image is None or image.digest:
            continue
        tag = image.tag or DEFAULT_TAG
        if tag == DEFAULT_TAG or any(glob(pattern, tag) for pattern in tags):
            message = f"takes image {clip(container.image_text)} from the node's store (imagePullPolicy: {policy})"
            undo = put("Always", safe=policy != "Never")  # Never: the image may be in no registry
            yield container.hit("imagePullPolicy", message, f"{policy} {image.canonical}", repair=undo)
