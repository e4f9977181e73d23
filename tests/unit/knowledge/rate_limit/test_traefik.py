"""Traefik: references, chains, Services, both groups, and what is said where something is missing."""

import json
import pickle
from typing import Any

import pytest
import yaml

from iocaudit.core.kinds import INGRESS_CLASS, SERVICE
from iocaudit.core.kinds.gateways import LEGACY_TRAEFIK_MIDDLEWARE, TRAEFIK_MIDDLEWARE
from iocaudit.engine.audit import Auditor
from iocaudit.engine.catalogue import builtin_catalogue
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.outline import outline
from iocaudit.scanning.reading import Reader, Scan
from iocaudit.scanning.scan import ScanOptions, scan_files
from tests.support.auditing import audited, messages, resources, world_of
from tests.support.bounded import cpu_within

CLASS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: edge}
spec: {controller: traefik.io/ingress-controller}
"""
SERVICE_YAML = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80}]}
"""


def ingress(annotation: str = "") -> str:
    annotations = f'{{traefik.ingress.kubernetes.io/router.middlewares: "{annotation}"}}' if annotation else "{}"
    return f"""
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: web, namespace: shop, annotations: {annotations}}}
spec:
  ingressClassName: edge
  defaultBackend: {{service: {{name: web, port: {{number: 80}}}}}}
"""


def middleware(name: str, spec: str, *, group: str = "traefik.io", namespace: str = "shop") -> str:
    return f"""
apiVersion: {group}/v1alpha1
kind: Middleware
metadata: {{name: {name}, namespace: {namespace}}}
spec: {spec}
"""


def route(middlewares: str, *, group: str = "traefik.io") -> str:
    return f"""
apiVersion: {group}/v1alpha1
kind: IngressRoute
metadata: {{name: web, namespace: shop}}
spec:
  routes:
  - match: Host(`a.example`)
    kind: Rule
    middlewares: {middlewares}
    services: [{{name: web, port: 80}}]
"""


def together(*documents: str) -> str:
    return "---".join(documents)


ON_SERVICE = "traefik.ingress.kubernetes.io/service.middlewares"
LIMIT = "{rateLimit: {average: 30, burst: 50}}"


def test_an_ingress_is_limited_by_the_middleware_it_names() -> None:
    good = together(CLASS, SERVICE_YAML, ingress("shop-calm@kubernetescrd"), middleware("calm", LIMIT))
    assert messages("no-rate-limit", good) == []
    other = together(CLASS, SERVICE_YAML, ingress("shop-other@kubernetescrd"), middleware("calm", LIMIT))
    (message,) = messages("no-rate-limit", other)
    assert "Traefik needs a Middleware" in message


def test_a_middleware_on_the_service_limits_too() -> None:
    service = SERVICE_YAML.replace(
        "namespace: shop",
        'namespace: shop, annotations: {traefik.ingress.kubernetes.io/service.middlewares: "shop-calm@kubernetescrd"}',
    )
    assert messages("no-rate-limit", together(CLASS, service, ingress(), middleware("calm", LIMIT))) == []
    assert messages("no-rate-limit", together(CLASS, SERVICE_YAML, ingress(), middleware("calm", LIMIT)))


def test_every_service_behind_an_ingress_has_to_be_limited() -> None:
    text = together(
        CLASS,
        SERVICE_YAML.replace(
            "namespace: shop",
            f"namespace: shop, annotations: {{{ON_SERVICE}: shop-calm@kubernetescrd}}",
        ),
        SERVICE_YAML.replace("name: web", "name: api"),
        ingress()
        + "  rules: [{http: {paths: [{path: /api, pathType: Prefix, "
        + "backend: {service: {name: api, port: {number: 80}}}}]}}]\n",
        middleware("calm", LIMIT),
    )
    assert len(messages("no-rate-limit", text)) == 1


def test_incomplete_middlewares_are_said_and_no_hit() -> None:
    text = together(CLASS, SERVICE_YAML, ingress("shop-calm@kubernetescrd"))
    (said,) = messages("no-rate-limit", text, incomplete={TRAEFIK_MIDDLEWARE: "forbidden"})
    assert said.startswith("skipped: ")
    assert "forbidden" in said
    (said,) = messages("no-rate-limit", route("[{name: calm}]"), incomplete={TRAEFIK_MIDDLEWARE: "forbidden"})
    assert said.startswith("skipped: ")


def test_incomplete_kinds_matter_only_where_something_names_them() -> None:
    (said,) = messages("no-rate-limit", route("[]"), incomplete={LEGACY_TRAEFIK_MIDDLEWARE: "forbidden"})
    assert "has no rate limit" in said
    limited = together(route("[{name: calm}]"), middleware("calm", LIMIT))
    assert messages("no-rate-limit", limited, incomplete={TRAEFIK_MIDDLEWARE: "forbidden"}) == []
    (said,) = messages("no-rate-limit", together(CLASS, ingress()), incomplete={SERVICE: "forbidden"})
    assert said.startswith("skipped: ")


def test_middlewares_of_other_providers_are_unknown() -> None:
    (said,) = messages("no-rate-limit", together(CLASS, SERVICE_YAML, ingress("calm@file")))
    assert said.startswith("skipped: ")
    assert said.endswith("middleware calm@file is defined outside the cluster's objects")


def test_chains_are_followed_and_may_go_in_circles() -> None:
    chain = middleware("outer", "{chain: {middlewares: [{name: inner}, {name: outer}]}}")
    assert messages("no-rate-limit", together(route("[{name: outer}]"), chain, middleware("inner", LIMIT))) == []
    circle = middleware("inner", "{chain: {middlewares: [{name: outer}]}}")
    assert len(messages("no-rate-limit", together(route("[{name: outer}]"), chain, circle))) == 1


def test_chains_that_share_members_cost_no_more_than_their_size() -> None:
    """Forty chains, each naming the next one twice, are 2^40 ways to walk them."""
    chains = [
        middleware(f"c{at}", f"{{chain: {{middlewares: [{{name: c{at + 1}}}, {{name: c{at + 1}}}]}}}}")
        for at in range(40)
    ]
    with cpu_within(10):
        (said,) = messages("no-rate-limit", together(route("[{name: c0}]"), *chains))
        assert "has no rate limit" in said
        assert messages("no-rate-limit", together(route("[{name: c0}]"), *chains, middleware("c40", LIMIT))) == []


def test_the_mission_example_in_the_legacy_group_is_clean() -> None:
    legacy = "traefik.containo.us"
    text = together(route("[{name: calm}]", group=legacy), middleware("calm", LIMIT, group=legacy))
    assert messages("no-rate-limit", text) == []
    assert messages("ineffective-rate-limit", text) == []


def test_the_mission_example_under_traefik_3_is_ineffective() -> None:
    legacy = "traefik.containo.us"
    shown = middleware("headers", "{headers: {}}")
    text = together(route("[{name: calm}]", group=legacy), middleware("calm", LIMIT, group=legacy), shown)
    (found,) = audited("ineffective-rate-limit", text).found
    assert found.subject.kind == "Middleware"
    assert "traefik.containo.us, which Traefik 3" in found.message
    current = together(route("[{name: calm}]"), middleware("calm", LIMIT, group=legacy))
    assert len(messages("no-rate-limit", current)) == 1, "a route of Traefik 3 does not see the legacy group"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("{rateLimit: {}}", "spec.rateLimit.average"),
        ("{rateLimit: {average: 0, burst: 50}}", "spec.rateLimit.average"),
        ("{rateLimit: {average: 10000000}}", "more than 10000"),
        ("{rateLimit: {average: 1000000, period: 1m}}", "more than 10000"),
        ("{inFlightReq: {}}", "spec.inFlightReq.amount"),
        ("{chain: {middlewares: [{name: gone}]}}", "names Middleware shop/gone, which is not there"),
        (LIMIT, None),
        ("{rateLimit: {average: '30'}}", None),
        ("{rateLimit: {average: 100000, period: 1m}}", None),
        ("{inFlightReq: {amount: 10}}", None),
    ],
)
def test_middlewares_that_do_nothing(spec: str, said: str | None) -> None:
    found = messages("ineffective-rate-limit", middleware("calm", spec))
    assert len(found) == (0 if said is None else 1)
    assert all(said in one for one in found if said is not None)


def test_a_reference_that_does_not_resolve_is_said_on_the_route() -> None:
    (said,) = messages("ineffective-rate-limit", route("[{name: gone}]"))
    assert "names Middleware shop/gone, which is not there" in said
    (said,) = messages("ineffective-rate-limit", route("[{name: gone}]"), incomplete={TRAEFIK_MIDDLEWARE: "forbidden"})
    assert said.startswith("skipped: ")


def test_the_class_name_nginx_is_never_taken_for_one_controller() -> None:
    text = ingress().replace("edge", "nginx")
    (said,) = messages("no-rate-limit", text)
    assert "there is no IngressClass nginx, so it is served by one of: ingress-nginx" in said
    assert "NGINX Inc.'s controller, which needs annotation nginx.org/limit-req-rate" in said
    for annotation in ('nginx.ingress.kubernetes.io/limit-rps: "5"', "nginx.org/limit-req-rate: 10r/s"):
        assert messages("no-rate-limit", text.replace("annotations: {}", f"annotations: {{{annotation}}}")) == []
    (said,) = messages("no-rate-limit", text, incomplete={INGRESS_CLASS: "forbidden"})
    assert said.startswith("skipped: unknown controller: class nginx")


def test_the_class_decides_which_mechanism_counts() -> None:
    inc = CLASS.replace("traefik.io/ingress-controller", "nginx.org/ingress-controller").replace("edge", "nginx")
    text = together(inc, ingress().replace("edge", "nginx"))
    other = text.replace("annotations: {}", 'annotations: {nginx.ingress.kubernetes.io/limit-rps: "5"}')
    (said,) = messages("no-rate-limit", other)
    assert "NGINX Inc.'s controller needs" in said
    assert (
        messages("no-rate-limit", text.replace("annotations: {}", "annotations: {nginx.org/limit-req-rate: 5r/s}"))
        == []
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("traefik.io/ingress-controller", "example.com/own"), "class edge belongs to example.com/own"),
        (("ingressClassName: edge", "{}: x".format("other")), "no ingress class is set"),
        (("ingressClassName: edge", "ingressClassName: mine"), "there is no IngressClass mine"),
    ],
)
def test_an_unknown_controller_is_said(change: tuple[str, str], said: str) -> None:
    (found,) = messages("no-rate-limit", together(CLASS, ingress()).replace(*change))
    assert found.startswith("skipped: unknown controller: ")
    assert said in found


def test_the_default_class_serves_what_names_none() -> None:
    default = CLASS.replace(
        "name: edge", 'name: edge, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}'
    )
    (said,) = messages(
        "no-rate-limit", together(default, SERVICE_YAML, ingress().replace("ingressClassName: edge", "x: y"))
    )
    assert "Traefik needs" in said


JUNK: list[Any] = [None, 1, -1, 1.5, True, "x", [], {}, [1], ["x"], {"a": 1}, [{"name": []}], {"name": {}}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
@pytest.mark.parametrize("check", ["no-rate-limit", "ineffective-rate-limit"])
def test_wrong_types_never_raise(check: str, junk: Any) -> None:
    value = json.dumps(junk)
    for spec in (f"{{rateLimit: {value}}}", f"{{chain: {{middlewares: {value}}}}}", value):
        audited(check, together(middleware("calm", spec), route(value), route(f"[{value}]")))


LEGACY = "traefik.containo.us"
MISSION = together(route("[{name: calm}]", group=LEGACY), middleware("calm", LIMIT, group=LEGACY))
DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: middlewares.traefik.io}
spec:
  group: traefik.io
  names: {kind: Middleware, plural: middlewares}
  scope: Namespaced
"""


def running(image: str, kind: str = "Deployment") -> str:
    return f"""
apiVersion: apps/v1
kind: {kind}
metadata: {{name: traefik, namespace: kube-system}}
spec:
  selector: {{matchLabels: {{app: traefik}}}}
  template:
    metadata: {{labels: {{app: traefik}}}}
    spec: {{containers: [{{name: traefik, image: "{image}"}}]}}
"""


def ineffective(files: dict[str, str]) -> list[str]:
    catalogue = builtin_catalogue().select({"ineffective-rate-limit"})
    given = {name: text.encode() for name, text in files.items()}
    return [found.message for found in scan_files([], catalogue, ScanOptions(), texts=given).report.found]


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (DEFINITION, "traefik.io is installed"),
        (DEFINITION.replace("v1\n", "v1beta1\n", 1), "traefik.io is installed"),
        (json.dumps(yaml.safe_load(DEFINITION)), "traefik.io is installed"),
        (json.dumps({"apiVersion": "v1", "kind": "List", "items": [yaml.safe_load(DEFINITION)]}), "is installed"),
        (f"apiVersion: v1\nkind: List\nitems: [{json.dumps(yaml.safe_load(DEFINITION))}]", "traefik.io is installed"),
        (running("traefik:v3.1"), "Deployment traefik runs it"),
        (running("docker.io/library/traefik:3", "DaemonSet"), "DaemonSet traefik runs it"),
        (running("ghcr.io/traefik/traefik:v3.0.0-beta3@sha256:" + 64 * "a"), "Deployment traefik runs it"),
        (running("rancher/mirrored-library-traefik:3.3.6"), "Deployment traefik runs it"),
        (together(running("traefik:v3.1"), DEFINITION), "Deployment traefik runs it"),
    ],
)
def test_what_shows_traefik_3_besides_its_objects(shown: str, why: str) -> None:
    (said,) = ineffective({"a.yaml": MISSION, "b.json" if shown.startswith("{") else "b.yaml": shown})
    assert why in said
    assert "is of group traefik.containo.us, which Traefik 3 (" in said


@pytest.mark.parametrize(
    "other",
    [
        DEFINITION.replace("traefik.io", "traefik.containo.us"),
        DEFINITION.replace("traefik.io", "hub.traefik.io"),
        running("traefik:v2.11"),
        running("traefik"),
        running("traefik/whoami:v3.0"),
        running("hooli.com/traefik-forward-auth:3"),
        together(running("traefik:v2.11"), DEFINITION),
    ],
)
def test_what_does_not_show_traefik_3(other: str) -> None:
    """Traefik 2.10 and later read both groups, so that an image of theirs settles it."""
    assert ineffective({"a.yaml": MISSION, "b.yaml": other}) == []


def test_another_process_knows_what_is_installed() -> None:
    reader = Reader(builtin_catalogue().select({"ineffective-rate-limit"}), "default")
    reader.take(DEFINITION.encode(), "a.yaml", Scan())
    assert reader.world.installed == {"traefik.io"}
    assert pickle.loads(pickle.dumps(reader)).world.installed == {"traefik.io"}


def test_a_dangling_reference_of_a_legacy_route_is_said_whatever_the_version() -> None:
    for more in ("", DEFINITION):
        (said,) = ineffective({"a.yaml": together(route("[{name: gone}]", group=LEGACY), more)})
        assert "names Middleware shop/gone, which is not there" in said


@pytest.mark.parametrize(
    ("chart", "count"),
    [("traefik-27.0.201_up27.0.2", 0), ("traefik-34.2.1_up34.2.0", 1), ("traefik-28.0.0", 1), ("traefik", 1)],
)
def test_a_cluster_tells_the_version_by_the_chart(chart: str, count: int) -> None:
    """Its world holds labels of workloads, not their images; that traefik.io is installed alone proves nothing."""
    world = world_of(resources(MISSION))
    (deployment,) = resources(
        running("traefik:v2.11").replace("labels: {app", f"labels: {{helm.sh/chart: {chart}, app")
    )
    world.put(outline(deployment))
    world.install({"traefik.io"})
    catalogue = builtin_catalogue().select({"ineffective-rate-limit"})
    auditor = Auditor(catalogue, PolicySet(catalogue), world)
    assert sum(len(auditor.audit(one).found) for one in world.all(LEGACY_TRAEFIK_MIDDLEWARE)) == count
