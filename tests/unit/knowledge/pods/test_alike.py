"""One object with many pods: what is the same for some of them is one hit, whoever speaks for them."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.auditing import Json, judge, places

_LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]), max_size=2)


def _workflow(*templates: Json, **spec: Any) -> Json:
    named = [{"name": f"t{n}", "container": {"image": "hooli.com/a:1"}, **one} for n, one in enumerate(templates)]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "w-", "namespace": "lab"},
        "spec": {"entrypoint": "main", "templates": [{"name": "main", "steps": []}, *named], **spec},
    }


@given(
    st.lists(_LABELS, min_size=1, max_size=6), st.sampled_from(["no-ingress-policy", "no-egress-policy"]), st.randoms()
)
def test_a_missing_policy_is_said_once_for_each_set_of_labels(
    sets: list[dict[str, str]], check: str, random: Any
) -> None:
    templates = [{"metadata": {"labels": labels}} if labels else {} for labels in sets]
    found = judge(check, _workflow(*templates))
    assert len(found) == len({tuple(sorted(labels.items())) for labels in sets})
    shuffled = _workflow(*templates)
    random.shuffle(shuffled["spec"]["templates"])
    assert sorted(places(judge(check, shuffled))) == sorted(places(found))


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({}, 'spec.templates["t0"].metadata.labels'),
        ({"podMetadata": {"labels": {"app": "w"}}}, "spec.podMetadata.labels"),
        ({"templateDefaults": {"metadata": {"labels": {"app": "w"}}}}, "spec.templateDefaults.metadata.labels"),
    ],
)
def test_the_place_is_where_the_labels_of_all_stand(spec: Json, path: str) -> None:
    assert places(judge("no-ingress-policy", _workflow({}, {}, {}, **spec))) == [path]


def test_a_template_on_the_nodes_network_speaks_for_no_other() -> None:
    found = judge("no-ingress-policy", _workflow({"hostNetwork": True}, {}, {}))
    assert places(found) == ['spec.templates["t1"].metadata.labels']


@given(st.lists(st.sampled_from([None, "own", "other"]), min_size=1, max_size=5))
def test_a_mounted_token_is_said_once_for_each_account_and_mended_for_all(accounts: list[str | None]) -> None:
    found = judge("token-automounted", _workflow(*({"serviceAccountName": one} if one else {} for one in accounts)))
    assert len(found) == len(set(accounts))
    edited = [edit.path for one in found if one.hit.repair is not None for edit in one.hit.repair.edits]
    assert Counter(edited) == Counter(
        f'spec.templates["t{n}"].automountServiceAccountToken' for n in range(len(accounts))
    )


def test_pods_that_stand_under_different_fields_are_one_too() -> None:
    template = {"spec": {"containers": [{"name": "ray", "image": "hooli.com/ray:1"}]}}
    cluster = {
        "apiVersion": "ray.io/v1",
        "kind": "RayCluster",
        "metadata": {"name": "r", "namespace": "lab"},
        "spec": {
            "headGroupSpec": {"template": template},
            "workerGroupSpecs": [{"groupName": "a", "template": template}, {"groupName": "b", "template": template}],
        },
    }
    assert places(judge("no-ingress-policy", cluster)) == ["spec.headGroupSpec.template.metadata.labels"]
