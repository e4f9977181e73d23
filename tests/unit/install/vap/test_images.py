"""The CEL of checks on registries."""

from __future__ import annotations

from tests.support.exporting import bad, denying, exported, rules_of


def test_containers_and_image_volumes_are_looked_through() -> None:
    rule = rules_of("untrusted-registry", trusted=["hooli.com/"], denied=["hooli.com/old"])["untrusted-registry"]
    assert bad(rule, "1").startswith("variables.containers.filter(it, it.?image.orValue('') != ''")
    assert bad(rule, "2").startswith("variables.volumes.filter(it, it.?image.?reference.orValue('') != ''")


def test_it_is_not_configured_without_registries() -> None:
    assert exported(denying("untrusted-registry")).objects == []


def test_patterns_of_which_it_is_not_sure_are_told() -> None:
    found = exported(denying("untrusted-registry", trusted=["[::1]/", "hooli.com:8*/"], denied=["[fd00::1]/"]))
    assert len(found.objects) == 2
    assert [line.partition(": ")[2] for line in found.told] == [
        "untrusted-registry: the image pattern '[::1]/': no address of IPv6 is denied",
        "untrusted-registry: the image pattern 'hooli.com:8*/': the glob in its port counts as any port",
        "untrusted-registry: the image pattern '[fd00::1]/': addresses of IPv6 are compared by the webhook alone",
    ]


def test_exempt_images_are_left_out_of_every_list() -> None:
    rule = rules_of("host-pid", exemptImages=["hooli.com/"])["host-pid"]
    assert [one["name"] for one in rule["variables"]] == ["at", "pod", "oldPod", "bad", "before"]
    rule = rules_of("privileged-container", exemptImages=["hooli.com/"])["privileged-container"]
    (containers,) = (one["expression"] for one in rule["variables"] if one["name"] == "containers")
    assert ".filter(it, !(size(it.?image.orValue('')) <= 1024 && " in containers
    assert {"name": "exemptHosts", "expression": "{'hooli.com': true}"} in rule["variables"]
