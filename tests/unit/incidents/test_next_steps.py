"""What to do: looks first, then what contains; every name is quoted for a shell."""

import shlex

from hypothesis import given
from hypothesis import strategies as st

from iocaudit.incidents.next_steps import MOST, next_steps


def commands(*targets: str, accounts: tuple[str, ...] = ()) -> list[str]:
    return [one.command for one in next_steps({"accounts": list(accounts), "targets": list(targets)})]


def test_of_a_workload_and_its_account() -> None:
    assert commands("shop/Deployment/web", accounts=("system:serviceaccount:shop:web",)) == [
        "kubectl -n shop get deployment/web -o yaml",
        "iocaudit rbac path --cluster -- system:serviceaccount:shop:web",
        "iocaudit activity -- system:serviceaccount:shop:web AUDIT-LOG",
        "kubectl -n shop scale deployment/web --replicas=0",
        "kubectl -n shop delete serviceaccount web",
    ]


def test_of_other_targets() -> None:
    assert commands("Node/node-1") == ["kubectl cordon node-1"]
    assert commands("ClusterRoleBinding/all") == ["kubectl delete clusterrolebinding all"]
    assert commands("shop/RoleBinding/all") == ["kubectl -n shop delete rolebinding all"]
    assert commands("shop/Secret/db") == ["kubectl -n shop describe secret db"]
    assert commands("shop/Pod/web-1")[-1] == "kubectl -n shop delete pod web-1"
    assert commands("shop/DaemonSet/agent") == ["kubectl -n shop delete daemonset agent"]
    assert commands("Secret", "", "shop/Ingress/web") == []


@given(st.lists(st.text(max_size=40), max_size=8), st.lists(st.text(max_size=40), max_size=8))
def test_a_name_is_one_word_of_a_command_whatever_it_holds(names: list[str], accounts: list[str]) -> None:
    targets = [f"shop/Pod/{name}" for name in names]
    found = commands(*targets, accounts=tuple(accounts))
    assert len(found) <= MOST
    for words in map(shlex.split, found):
        assert words[0] in ("kubectl", "iocaudit")
        assert len(words) <= 7
