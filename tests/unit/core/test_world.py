"""What a World keeps of what is derived from it, and until when."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.core.kinds import NAMESPACE, NETWORK_POLICY, SERVICE, SERVICE_ACCOUNT
from iocaudit.core.resource import CLUSTER, Origin, Resource
from iocaudit.core.world import World


def _resource(kind: str, name: str, namespace: str | None = None, origin: Origin = CLUSTER) -> Resource:
    version = {"NetworkPolicy": "networking.k8s.io/v1"}.get(kind, "v1")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return Resource({"apiVersion": version, "kind": kind, "metadata": metadata}, origin)


class _Builds:
    """Counts how often a value is built, for one namespace or for whole kinds."""

    def __init__(self, world: World, namespace: str | None) -> None:
        self.world, self.namespace, self.count = world, namespace, 0

    def __call__(self) -> int:
        return self.world.memo(
            ("key", self.namespace), (NETWORK_POLICY, NAMESPACE), self._build, namespace=self.namespace
        )

    def _build(self) -> int:
        self.count += 1
        return self.count


def test_a_value_is_kept_until_a_kind_changes() -> None:
    world = World()
    value = _Builds(world, None)
    assert (value(), value()) == (1, 1)
    world.put(_resource("ServiceAccount", "a", "shop"))
    assert value() == 1
    world.put(_resource("NetworkPolicy", "a", "shop"))
    assert (value(), value()) == (2, 2)
    world.remove(NETWORK_POLICY, "shop", "a")
    assert value() == 3
    world.remove(NETWORK_POLICY, "shop", "a")
    assert value() == 3
    world.mark_incomplete(NETWORK_POLICY, "forbidden")
    assert value() == 4
    world.replace(SERVICE_ACCOUNT, [])
    assert value() == 4


def test_a_value_of_a_namespace_outlives_changes_elsewhere() -> None:
    world = World()
    value = _Builds(world, "shop")
    assert value() == 1
    world.put(_resource("NetworkPolicy", "a", "other"))
    world.put(_resource("Namespace", "other"))
    assert value() == 1
    world.put(_resource("NetworkPolicy", "a", "shop"))
    assert value() == 2
    world.put(_resource("Namespace", "shop"))
    assert value() == 3
    world.remove(NAMESPACE, None, "shop")
    assert value() == 4
    world.replace(NETWORK_POLICY, [_resource("NetworkPolicy", "b", "other")])
    assert value() == 5
    world.put(_resource("NetworkPolicy", "c", "other"))
    assert value() == 5
    world.mark_incomplete(NETWORK_POLICY, "forbidden")
    assert value() == 6


def test_an_object_without_a_namespace_changes_the_default_one() -> None:
    world = World(default_namespace="shop")
    value = _Builds(world, "shop")
    assert value() == 1
    world.add(_resource("NetworkPolicy", "a", None, Origin("file", "a.yaml")))
    assert value() == 2


_FILES = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join) | st.sampled_from(
    ("/a/b", "a", "./a/b")
)


@given(st.lists(st.tuples(_FILES, st.sampled_from("xyz"), st.sampled_from(("shop", "other"))), max_size=12), _FILES)
def test_of_variants_what_is_kept_is_what_is_nearest(stated: list[tuple[str, str, str]], asking: str) -> None:
    """Whoever asked before, from wherever: a value kept for a place is the one that this place would get by itself."""
    world = World()
    for file, name, namespace in dict.fromkeys(stated):
        world.add(_resource("NetworkPolicy", name, namespace, Origin("file", file + ".yaml")))
    for near in [asking, *(file for file, _, _ in stated), asking + "/deeper", "a/b/c/d/e"]:
        asker = _resource("ServiceAccount", "me", "shop", Origin("file", near + ".yaml"))
        alone = world.all(NETWORK_POLICY, near=asker)
        kept = world.memo("all", (NETWORK_POLICY,), partial(world.all, NETWORK_POLICY, near=asker), near=asker)
        assert list(map(id, kept)) == list(map(id, alone))


def test_places_that_no_variant_tells_apart_share_what_is_kept() -> None:
    world = World()
    for folder in ("one", "two"):
        world.add(_resource("NetworkPolicy", "a", "shop", Origin("file", f"apps/{folder}/policy.yaml")))
    built: list[str] = []
    for file in (
        "apps/one/x/web.yaml",
        "apps/one/y/web.yaml",
        "apps/one/web.yaml",
        "apps/two/web.yaml",
        "apps/z/w.yaml",
    ):
        asker = _resource("ServiceAccount", "me", "shop", Origin("file", file))
        world.memo("key", (NETWORK_POLICY,), partial(built.append, file), near=asker)
    assert built == ["apps/one/x/web.yaml", "apps/two/web.yaml", "apps/z/w.yaml"]


def test_what_requests_name_is_neither_kept_for_ever_nor_at_any_length() -> None:
    world = World()
    for number in range(60_000):
        world.memo(("target", f"web-{number}"), (NETWORK_POLICY,), object)
    assert len(world._memo) <= 50_000
    long = ("target", ("x" * 1_000_000,))
    first = world.memo(long, (NETWORK_POLICY,), object)
    assert world.memo(long, (NETWORK_POLICY,), object) is not first
    short = ("target", "web-59999")
    assert world.memo(short, (NETWORK_POLICY,), object) is world.memo(short, (NETWORK_POLICY,), object)


def test_what_is_kept_of_each_item_is_bounded_and_goes_with_the_kinds() -> None:
    world, asked = World(), list[str]()

    def of(item: str) -> str:
        def build() -> str:
            asked.append(item)
            return item.upper()

        return world.memo_of(item, "upper", (SERVICE,), build, most=2)

    assert [of("a"), of("a"), of("b")] == ["A", "A", "B"]
    assert asked == ["a", "b"]
    of("c")  # the third: what was kept makes room
    of("a")
    assert asked == ["a", "b", "c", "a"]
    world.put(Resource({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "n"}}, CLUSTER))
    of("a")
    assert asked == ["a", "b", "c", "a", "a"]
    for _ in range(2):
        of("x" * 1000)
    assert asked[-2:] == ["x" * 1000] * 2, "nothing is kept under a name of such a length"
