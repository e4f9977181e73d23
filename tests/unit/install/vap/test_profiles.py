"""The CEL of checks on seccomp, AppArmor, SELinux and sysctls; what it means is asked in `tests/cluster`."""

from __future__ import annotations

from tests.support.exporting import bad, exported, rules_of


def test_profiles_that_may_be_set() -> None:
    text = bad(rules_of("seccomp-unconfined")["seccomp-unconfined"], "2")
    assert "it.?securityContext.?seccompProfile.?type.orValue('') in ['', 'RuntimeDefault']" in text
    assert "== 'Localhost' && it.?securityContext.?seccompProfile.?localhostProfile.orValue('')" in text
    anything = rules_of("apparmor-unconfined", allowedProfiles=["*"])["apparmor-unconfined"]
    assert bad(anything) == "[variables.pod].filter(it, false)"


def test_the_first_entry_that_fits_a_file_decides() -> None:
    files = rules_of(
        "seccomp-unconfined", allowedProfiles=["localhost/a", "Localhost", "localhost/z"], allowedLocalhostFiles=["b*"]
    )["seccomp-unconfined"]
    file = "it.?securityContext.?seccompProfile.?localhostProfile.orValue('')"
    assert f"({file} in ['a'] || {file}.matches(r'(?s:^b.*$)'))" in bad(files, "2")


def test_selinux_options_by_entry_or_by_list() -> None:
    assert "'container_engine_t'" in bad(rules_of("selinux-custom")["selinux-custom"], "2")
    old = rules_of("selinux-custom", pssVersion="v1.30")["selinux-custom"]
    assert "'container_engine_t'" not in bad(old, "2")
    listed = rules_of("selinux-custom", allowed=[{"type": "a_t"}])["selinux-custom"]
    assert "?type.orValue('') in ['', 'a_t']" in bad(listed, "2")


def test_sysctls_by_severity_and_list() -> None:
    lockdown = exported({"preset": "lockdown"}).objects
    (critical,) = (
        one["spec"]
        for one in lockdown
        if one["metadata"]["name"] == "iocaudit-unsafe-sysctl" and "variables" in one["spec"]
    )
    assert "contains('+')" in bad(critical, "1")
    assert "tcp_syncookies" not in bad(critical, "1")
    every = bad(rules_of("unsafe-sysctl", pssVersion="v1.26")["unsafe-sysctl"], "1")
    assert "'net.ipv4.tcp_syncookies'" in every
    assert "tcp_rmem" not in every
    listed = bad(rules_of("unsafe-sysctl", allowed=["kernel.*"], forbidden=["kernel.msg*"])["unsafe-sysctl"], "1")
    assert r"(?s:^kernel\.msg.*$)" in listed
