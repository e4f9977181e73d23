"""What a request brings is judged in time and let go of: a cache of thousands of large objects is an attack."""

import gc

from iocaudit.core.resource import ADMISSION, Resource
from iocaudit.core.world import World
from iocaudit.engine.audit import Auditor
from iocaudit.engine.policy_set import PolicySet
from iocaudit.knowledge.rbac.accounts import powers_of_account
from iocaudit.knowledge.rbac.rules import PolicyRule
from iocaudit.knowledge.rbac.subjects import Subject
from tests.support.bounded import cpu_within
from tests.support.rbac_objects import CATALOGUE, binding, role, rule, run

MARK = "-kept-by-nobody-"
RBAC_CHECKS = CATALOGUE.select(check.id for check in CATALOGUE if check.group == "rbac")


def kept_under(text: str) -> list[dict[object, object]]:
    """The dicts anywhere in this process that have a text as a key."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is dict and text in one]


def test_neither_bindings_nor_large_rules_of_requests_are_kept() -> None:
    long = rule("get", "secrets") | {"resourceNames": [f"{MARK}{number}" for number in range(2000)]}
    auditor = Auditor(RBAC_CHECKS, PolicySet(RBAC_CHECKS), World())
    for number in range(40):
        for made in (role(f"r{MARK}", long), binding(f"b{MARK}{number}", "view", "User:alice")):
            assert auditor.audit(Resource(made.raw, ADMISSION)).found or made.kind_name != "ClusterRole"
    del made
    gc.collect()
    alive = gc.get_objects()
    assert sum(1 for one in alive if isinstance(one, Resource) and one.name.startswith(f"b{MARK}")) <= 8
    assert not [one for one in alive if isinstance(one, PolicyRule) and f"{MARK}0" in one.names]


def test_the_same_request_is_judged_alike_twice() -> None:
    auditor = Auditor(RBAC_CHECKS, PolicySet(RBAC_CHECKS), World())
    bound = Resource(binding("b", "cluster-admin", "User:alice").raw, ADMISSION)
    assert [one.message for one in auditor.audit(bound).found] == [one.message for one in auditor.audit(bound).found]


def test_a_rule_of_many_words_under_the_name_of_a_clusters_own_role_is_judged_in_time() -> None:
    words = ",".join(f"w{number}" for number in range(1500))
    for name in ("cluster-admin", "admin", "view"):
        with cpu_within(2):
            assert not run("wildcard-rule", role(name, rule(words, words, words))).found


def test_no_name_longer_than_any_account_has_is_kept() -> None:
    world, near = World(), Resource(role("r").raw, ADMISSION)
    world.put(binding("b", "cluster-admin", "Group:system:serviceaccounts"))
    for name in ("default", MARK * 100):
        assert powers_of_account(Subject("ServiceAccount", name, "shop"), world, near)
    assert len(kept_under("ServiceAccount:shop:default")) == 1
    assert not kept_under(f"ServiceAccount:shop:{MARK * 100}")
