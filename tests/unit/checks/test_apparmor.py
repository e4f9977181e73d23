"""AppArmor profiles by field and by annotation."""

from tests.support.auditing import cron_job, evidence, judge, places, pod

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"


def test_a_policy_may_allow_every_apparmor_profile() -> None:
    subject = pod(securityContext={"appArmorProfile": {"type": "Unconfined"}})
    assert len(judge("apparmor-unconfined", subject, parameters={"allowedProfiles": ["localhost/*"]})) == 1
    assert judge("apparmor-unconfined", subject, parameters={"allowedProfiles": ["*"]}) == []


def test_an_apparmor_annotation_may_name_nobody() -> None:
    subject = pod(metadata={"annotations": {f"{APPARMOR}app": "runtime/default", f"{APPARMOR}gone": "runtime/default"}})
    found = judge("apparmor-missing", subject)
    assert evidence(found) == ["gone"]
    assert "applies to nothing" in found[0].message


def test_the_template_of_a_cron_job_is_judged() -> None:
    found = judge("apparmor-missing", cron_job(pod()["spec"]))
    assert places(found) == ['spec.jobTemplate.spec.template.spec.containers["app"].securityContext.appArmorProfile']
