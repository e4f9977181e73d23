"""Whatever the times of its steps, a rotation never leaves a server that a client does not trust."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iocaudit.serving.authority import Names, is_issued_by, issue_ca, issue_leaf
from iocaudit.serving.errors import CertificateError
from iocaudit.serving.rotation import (
    CertificateState,
    Lifetimes,
    first_state,
    from_data,
    rotate,
    to_data,
    to_serving_data,
)

START = datetime(2030, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NAMES = Names.of("iocaudit.iocaudit.svc")
T = TypeVar("T")
SHORT = Lifetimes(ca=90 * HOUR, leaf=30 * HOUR, settle=HOUR, grace=3 * HOUR)


def verify(leaf: x509.Certificate, bundle: bytes, at: datetime) -> None:
    """Raises VerificationError unless a client with this bundle accepts the leaf at this time."""
    store = Store(x509.load_pem_x509_certificates(bundle))
    PolicyBuilder().store(store).time(at).build_server_verifier(x509.DNSName(NAMES.dns[0])).verify(leaf, [])


@settings(max_examples=30)
@example([(480, False)] * 40)
@example([(60, True)] * 59 + [(480, True)] * 21)  # a leaf that is due when the authority is, and calls far apart
@given(
    st.lists(
        st.tuples(st.integers(min_value=1, max_value=8 * 60), st.booleans()),
        min_size=40,  # long enough to see a whole change of authority
        max_size=80,
    )
)
def test_served_and_published_always_agree(steps: list[tuple[int, bool]]) -> None:
    """Steps of minutes and whether the publication of that step succeeds.

    A replica may serve any leaf that was current within the grace, a client may hold any bundle that was
    current within the settling time: each of them must go with each.
    """
    now = START
    state = first_state(NAMES, now, SHORT)
    published = state.ca_bundle
    leaves = [(now, state.leaf.certificate)]
    bundles = [(now, published)]
    for minutes, publishes in steps:
        now += timedelta(minutes=minutes)
        if now >= state.ca.certificate.not_valid_after_utc - HOUR:
            break  # publication failed until the authority itself expired: nothing can help
        state = rotate(from_data(to_data(state)), now, names=NAMES, published=published, lifetimes=SHORT)
        if state.leaf.certificate != leaves[-1][1]:
            leaves.append((now, state.leaf.certificate))
        if publishes and state.ca_bundle != published:
            published = state.ca_bundle
            bundles.append((now, published))
        served = _recent(leaves, now, SHORT.grace)
        held = _recent(bundles, now, SHORT.settle)
        for leaf in served:
            if leaf.not_valid_after_utc > now:
                for bundle in held:
                    verify(leaf, bundle, now)
        assert leaves[-1][1].not_valid_after_utc > now


def _recent(history: list[tuple[datetime, T]], now: datetime, window: timedelta) -> list[T]:
    """The last value, and those that were replaced within the window."""
    ends = [since for since, _ in history[1:]]
    return [value for (_, value), end in zip(history, [*ends, now], strict=True) if end > now - window]


def test_an_authority_is_announced_before_it_signs_and_kept_after() -> None:
    state = first_state(NAMES, START, SHORT)
    now = START + 61 * HOUR
    announced = rotate(state, now, names=NAMES, published=state.ca_bundle, lifetimes=SHORT)
    assert announced.next_ca is not None
    assert is_issued_by(announced.leaf.certificate, state.ca.certificate)
    assert len(announced.trusted) == 2

    unpublished = rotate(announced, now + 5 * HOUR, names=NAMES, published=state.ca_bundle, lifetimes=SHORT)
    assert unpublished.announced_at is None
    assert unpublished.ca is state.ca

    seen = rotate(announced, now, names=NAMES, published=announced.ca_bundle, lifetimes=SHORT)
    assert seen.announced_at == now
    early = rotate(seen, now + HOUR / 2, names=NAMES, published=seen.ca_bundle, lifetimes=SHORT)
    assert early.ca is state.ca

    later = now + HOUR
    taken = rotate(seen, later, names=NAMES, published=seen.ca_bundle, lifetimes=SHORT)
    assert taken.ca is announced.next_ca
    assert taken.previous_ca == state.ca.certificate
    verify(taken.leaf.certificate, announced.ca_bundle, later)
    verify(state.leaf.certificate, taken.ca_bundle, START)

    kept = rotate(taken, later + 2 * HOUR, names=NAMES, published=taken.ca_bundle, lifetimes=SHORT)
    assert kept is taken
    done = rotate(taken, later + 3 * HOUR, names=NAMES, published=taken.ca_bundle, lifetimes=SHORT)
    assert done.trusted == (taken.ca.certificate,)
    assert done.leaf is taken.leaf


def test_nothing_to_do_returns_the_same_object() -> None:
    state = first_state(NAMES, START, SHORT)
    assert rotate(state, START + HOUR, names=NAMES, published=b"", lifetimes=SHORT) is state


def test_new_names_give_a_new_leaf_under_the_same_authority() -> None:
    state = first_state(NAMES, START, SHORT)
    changed = rotate(state, START, names=Names.of("other.svc"), published=b"", lifetimes=SHORT)
    assert changed.ca is state.ca
    assert changed.leaf.certificate != state.leaf.certificate


def test_an_expired_authority_is_replaced_at_once() -> None:
    state = first_state(NAMES, START, SHORT)
    now = START + 1000 * HOUR
    fresh = rotate(state, now, names=NAMES, published=state.ca_bundle, lifetimes=SHORT)
    verify(fresh.leaf.certificate, fresh.ca_bundle, now)
    assert state.ca.certificate not in fresh.trusted


def rotating() -> CertificateState:
    """A state that uses every field."""
    state = first_state(NAMES, START, SHORT)
    return replace(
        state,
        next_ca=issue_ca(START, SHORT.ca),
        announced_at=START,
        previous_ca=issue_ca(START, SHORT.ca).certificate,
        taken_over_at=START + HOUR,
    )


def test_what_servers_mount_holds_no_authority_key() -> None:
    state = rotating()
    data = to_serving_data(state)
    assert sorted(data) == ["ca.crt", "tls.crt", "tls.key"]
    assert data["ca.crt"] == state.ca_bundle
    assert state.ca.key_pem not in data.values()


def test_data_round_trip() -> None:
    state = rotating()
    assert to_data(from_data(to_data(state))) == to_data(state)


@pytest.mark.parametrize("field", sorted(to_data(rotating())))
@pytest.mark.parametrize("damage", ["garbage", "empty", "truncated"])
def test_a_damaged_field_is_named_and_its_content_is_not(field: str, damage: str) -> None:
    data = to_data(rotating())
    value = data[field]
    data[field] = {"garbage": b"garbage-content", "empty": b"", "truncated": value[: len(value) // 2]}[damage]
    with pytest.raises(CertificateError, match=f"^{field}: ") as caught:
        from_data(data)
    assert "garbage-content" not in str(caught.value)


@pytest.mark.parametrize("field", ["ca.crt", "ca.key", "tls.crt", "tls.key", "ca-bundle.crt", "next-ca.key"])
def test_a_missing_field_is_named(field: str) -> None:
    data = to_data(rotating())
    del data[field]
    with pytest.raises(CertificateError, match=f"^{field}: missing"):
        from_data(data)


def test_fields_that_don_t_belong_together_are_refused() -> None:
    state = first_state(NAMES, START, SHORT)
    stranger = issue_leaf(issue_ca(START, SHORT.ca), NAMES, START, SHORT.leaf)
    with pytest.raises(CertificateError, match=r"tls\.crt: not signed"):
        from_data(to_data(replace(state, leaf=stranger)))
    with pytest.raises(CertificateError, match=r"ca\.crt: not a self-signed"):
        from_data(to_data(replace(state, ca=stranger)))
    other = first_state(NAMES, START, SHORT)
    with pytest.raises(CertificateError, match=r"ca-bundle\.crt: does not hold"):
        from_data({**to_data(state), "ca-bundle.crt": other.ca_bundle})


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(CertificateError, match="announced-at: the time has no zone"):
        from_data({**to_data(rotating()), "announced-at": b"2030-01-01T00:00:00"})
