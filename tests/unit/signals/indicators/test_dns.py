"""Changes of the cluster's resolver."""

from tests.support.detection_samples import seen


def changed(name: str, namespace: str = "kube-system", user: str = "alice") -> list[str]:
    return seen(
        {
            "verb": "update",
            "user": {"username": user},
            "objectRef": {"resource": "configmaps", "namespace": namespace, "name": name},
            "responseStatus": {"code": 200},
        }
    )


def test_the_resolver_and_nothing_else() -> None:
    assert changed("coredns") == ["resolver-changed"]
    assert changed("node-local-dns") == ["resolver-changed"]
    assert changed("coredns", "shop") == []
    assert changed("other") == []
    assert changed("coredns", user="eks:addon-manager") == []
