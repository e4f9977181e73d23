"""The file of senders: who proves what, and every mistake by its place."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iocaudit.receivers.senders import Senders, SendersError, read_senders
from iocaudit.signals.signal import SignalSource
from tests.support.detection_samples import ANYTHING
from tests.support.signal_posts import TOKEN, write_senders


def test_each_is_found_by_its_own_credential(tmp_path: Path) -> None:
    senders = Senders.from_file(write_senders(tmp_path))
    api = senders.by_certificate("system:apiserver-audit")
    assert api is not None
    assert (api.name, api.sources, api.namespaces) == ("api-server", frozenset({SignalSource.AUDIT}), ("*",))
    falco, shop = senders.by_token(TOKEN), senders.by_token(TOKEN + "-of-shop")
    assert falco is not None
    assert shop is not None
    assert (falco.name, falco.namespaces, shop.name) == ("falco", (), "shop-alerts")
    assert senders.by_token("") is senders.by_token(TOKEN + "x") is senders.by_certificate("") is None


def test_a_namespace_is_a_name_or_a_glob(tmp_path: Path) -> None:
    shop = Senders.from_file(write_senders(tmp_path)).named("shop-alerts")
    assert shop is not None
    assert [name for name in ("shop", "shop-eu", "shopping", "other", "") if shop.may_name(name)] == ["shop", "shop-eu"]


def test_a_token_that_rotates_counts_soon_and_one_that_is_gone_counts_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iocaudit.receivers.senders._LOOK_EVERY", 0.0)
    senders = Senders.from_file(write_senders(tmp_path))
    (tmp_path / "falco.token").write_text("another-token-of-enough-characters\n")
    assert senders.by_token(TOKEN) is None
    found = senders.by_token("another-token-of-enough-characters")
    assert found is not None
    assert found.name == "falco"
    (tmp_path / "falco.token").unlink()
    assert senders.by_token("another-token-of-enough-characters") is None
    assert senders.by_token(TOKEN + "-of-shop") is not None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("senders: []", "senders: must have at least one entry"),
        ("[1]", "must be a map"),
        ("a: [", "not YAML"),
        ("sender: []", "sender: there is no such field (did you mean senders?)"),
        ("senders:\n- {name: A, sources: [audit], certificate: x}", "senders[0].name: must be 1 to 63 small"),
        ("senders:\n- {name: a, sources: [], certificate: x}", "senders[0].sources: must name at least one of audit"),
        ("senders:\n- {name: a, sources: [falko], certificate: x}", "senders[0].sources[0]: 'falko' is not one of"),
        ("senders:\n- {name: a, sources: [audit]}", "senders[0]: give either certificate"),
        ("senders:\n- {name: a, sources: [audit], certificate: x, tokenFile: y}", "senders[0]: give either"),
        (
            "senders:\n- {name: a, sources: [audit], certificate: x, namespaces: ['A b']}",
            "senders[0].namespaces[0]: 'A b' is not a namespace, or a glob of one",
        ),
        (
            "senders:\n- {name: a, sources: [audit], certificate: x}\n- {name: a, sources: [audit], certificate: y}",
            "senders[1].name: is that of senders[0]",
        ),
        (
            "senders:\n- {name: a, sources: [audit], certificate: x}\n- {name: b, sources: [audit], certificate: x}",
            "senders[1].certificate: is that of senders[0]",
        ),
        (
            "senders:\n- {name: a, sources: [audit], certificate: x, silentAfterSeconds: 5}",
            "senders[0].silentAfterSeconds: must be between 30 and 604800",
        ),
        (
            "senders:\n- {name: a, sources: [audit], certificate: x, heartbeatSeconds: 60}",
            "senders[0].heartbeatSeconds: goes with the sources falco and alertmanager",
        ),
        ("senders:\n- {name: a, sources: [falco], tokenFile: absent}", "give the file with the sender's token"),
    ],
)
def test_each_mistake_is_named_with_its_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "senders.yaml"
    path.write_text(text)
    with pytest.raises(SendersError) as found:
        Senders.from_file(path)
    assert said in str(found.value)
    assert str(tmp_path) in str(found.value)


def test_a_short_token_and_one_used_twice_are_refused(tmp_path: Path) -> None:
    path = write_senders(tmp_path)
    (tmp_path / "falco.token").write_text("short")
    with pytest.raises(SendersError, match="fewer than 16 characters"):
        Senders.from_file(path)
    (tmp_path / "falco.token").write_text(TOKEN + "-of-shop")
    with pytest.raises(SendersError, match="shop-alerts has the token of falco"):
        Senders.from_file(path)


def test_a_file_that_is_absent_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(SendersError, match="No such file"):
        read_senders(tmp_path / "absent")
    (tmp_path / "large").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(SendersError, match="larger than"):
        read_senders(tmp_path / "large")


@given(document=ANYTHING | st.fixed_dictionaries({"senders": st.lists(ANYTHING, max_size=3)}))
def test_whatever_stands_in_it_is_read_or_refused_by_our_own_error(
    document: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("senders") / "senders.yaml"
    import yaml

    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    with pytest.raises(SendersError):
        Senders.from_file(path)
