"""What is pointless to tell of a container that is root on its node already."""

ROOT_ON_NODE = (
    "apparmor-missing",
    "apparmor-unconfined",
    "capabilities-not-dropped",
    "capability-beyond-baseline",
    "cloud-credentials-mount",
    "dangerous-capability",
    "host-path-mount",
    "low-uid",
    "may-run-as-root",
    "privilege-escalation-allowed",
    "runs-as-root",
    "seccomp-missing",
    "seccomp-unconfined",
    "selinux-custom",
    "sensitive-host-path",
    "unmasked-proc",
    "writable-host-path",
    "writable-root-filesystem",
)
"""The checks on what a container may do to its node, and on what keeps it from it: nothing does any more.

A runtime's socket is not among them: anyone who may talk to it stays root on the node when the container no longer is.
"""
