"""What ACME's checks say of manifests."""

from acme_checks import no_quota

from iocaudit.testing import assert_clean, assert_examples, assert_flags

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {acme.example/team: shop}}
spec:
  template:
    spec: {containers: [{name: app, image: "hooli.com/web:1"}]}
"""
QUOTA = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team", "namespace": "shop"}}


def test_the_examples_are_what_they_say() -> None:
    assert_examples(no_quota)


def test_every_workload_is_asked() -> None:
    assert_flags(no_quota, DEPLOYMENT, times=1, path="metadata.namespace", message="which has no ResourceQuota")


def test_a_quota_of_the_namespace_will_do() -> None:
    assert_clean(no_quota, DEPLOYMENT, world=QUOTA)
    other = {**QUOTA, "metadata": {"name": "team", "namespace": "bank"}}
    assert_flags(no_quota, DEPLOYMENT, world=other)


def test_some_teams_need_none() -> None:
    assert_clean(no_quota, DEPLOYMENT, parameters={"exemptTeams": ["shop"]})
