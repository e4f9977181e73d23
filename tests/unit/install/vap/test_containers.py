"""The CEL of checks on containers; what it means is asked of a real API server in `tests/cluster`."""

from __future__ import annotations

from tests.support.exporting import bad, denying, exported, rules_of

ADDED = "it.?securityContext.?capabilities.?add.orValue([])"


def test_capabilities_by_severity() -> None:
    every = bad(rules_of("dangerous-capability")["dangerous-capability"])
    assert "SYS_PTRACE" in every
    assert "hostPID" not in every
    lockdown = exported({"preset": "lockdown"}).objects
    (critical,) = (
        one["spec"]
        for one in lockdown
        if one["metadata"]["name"] == "iocaudit-dangerous-capability" and "variables" in one["spec"]
    )
    assert "NET_ADMIN" not in bad(critical)
    spelled = "['SYS_PTRACE', 'CAP_SYS_PTRACE']"
    assert f"variables.pod.?hostPID.orValue(false) && name.trim().upperAscii() in {spelled}" in bad(critical)


def test_parameters_are_written_out() -> None:
    rule = rules_of("capability-beyond-baseline", allowed=["CHOWN", "cap_kill"])["capability-beyond-baseline"]
    assert f"{ADDED}.exists(name, !(name in ['CHOWN', 'KILL', 'cap_kill']))" in bad(rule)
    everything = rules_of("capability-beyond-baseline", allowed=["*"])["capability-beyond-baseline"]
    assert "exists(name, false)" in bad(everything)
    ports = bad(rules_of("host-port", allowed=[{"min": 1, "max": 9}])["host-port"])
    assert "!(port.hostPort >= 1 && port.hostPort <= 9)" in ports
    assert "hostNetwork" not in ports
    assert "hostNetwork" in bad(rules_of("host-port")["host-port"])


def test_user_namespaces_spare_as_the_version_has_it() -> None:
    assert "hostUsers" in bad(rules_of("unmasked-proc")["unmasked-proc"])
    assert "hostUsers" not in bad(rules_of("unmasked-proc", pssVersion="v1.30")["unmasked-proc"])
    assert "hostUsers" not in bad(rules_of("unmasked-proc", userNamespaces=False)["unmasked-proc"])
    old = bad(rules_of("privilege-escalation-allowed", pssVersion="v1.7")["privilege-escalation-allowed"])
    assert old == "variables.containers.filter(it, false)"


def test_a_privileged_container() -> None:
    rule = rules_of("privileged-container")["privileged-container"]
    assert bad(rule) == "variables.containers.filter(it, it.?securityContext.?privileged.orValue(false))"
    assert exported(denying("privileged-container")).left == []
