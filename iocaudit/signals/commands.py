"""What the command of a session does that speaks of an attack, as data: each suspicion with the indicator it shows.

The patterns are bounded. What `knowledge.command` knows of commands in manifests holds here, too.
Sources: MITRE ATT&CK T1552.001, T1552.005, T1105, T1048, T1059.004, T1489.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

_MOST = 16 * 1024
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "pwsh", "powershell", "cmd.exe"})
_CREDENTIALS = re.compile(
    r"/run/secrets/(?:kubernetes\.io|eks\.amazonaws\.com|azure)|/etc/kubernetes/|/var/lib/kubelet/|/etc/(?:g?shadow|passwd"
    r"|sudoers)\b|/\.(?:ssh|aws|azure|kube|docker|gnupg)(?:/|\b)|/\.config/gcloud|/proc/(?:\d+|self|\*)/environ"
    r"|\.(?:p12|pfx|jks|keystore|kdbx|ppk)\b|\bid_(?:rsa|dsa|ecdsa|ed25519)\b|(?<![\w-])[\w./-]{0,200}\.(?:pem|key)\b"
)
_METADATA = re.compile(
    r"169\.254\.169\.254|169\.254\.170\.2|\b2852039166\b|0xa9fea9fe|fd00:ec2::254|metadata\.google\.internal"
    r"|/latest/(?:meta-data|user-data|api/token|dynamic/)|computeMetadata/v1|/metadata/(?:identity|instance)"
    r"|100\.100\.100\.200",
    re.IGNORECASE,
)
_LOCAL = (
    r"(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0|kubernetes\.default|[\w.-]{1,200}\.svc(?:\.cluster\.local)?)"
    r"(?=[:/\s\"']|$)"
)
_FETCH = re.compile(
    rf"(?<![\w./-])(?:curl|wget|aria2c|fetch)\b[^|;&\n]{{0,1000}}?(?:https?|ftps?)://(?!{_LOCAL})[^\s/\"']{{1,255}}",
    re.IGNORECASE,
)
_UPLOAD = re.compile(
    r"(?<![\w./-])curl\b[^|;\n]{0,1000}?\s(?:-T|--upload-file|-F|--form|--data-binary|-d|--data(?:-raw|-urlencode)?)\b"
    r"|(?<![\w./-])(?:scp|sftp|rsync|rclone|mc|s3cmd|gsutil|azcopy)\s|\baws\s{1,9}s3\s{1,9}(?:cp|sync|mv)\b"
)
_PACKAGES = re.compile(
    r"(?<![\w./-])(?:(?:apt|apt-get|aptitude|yum|dnf|microdnf|zypper)\s[^|;&\n]{0,100}?\binstall|apk\s[^|;&\n]{0,100}?\badd"
    r"|(?:pip3?|npm|gem|cargo|go)\s{1,9}install|dpkg\s{1,9}-i|rpm\s{1,9}-[iU])\b"
)
_WRITES = re.compile(
    r"(?:>{1,2}\s{0,9}|\b(?:tee|cp|mv|install|ln|sed\s{1,9}-i\S{0,20}|chmod|chown|touch|rm|dd)\s[^|;&\n]{0,400}?)"
    r"[\"']?(?:of=)?(?:/(?:mnt|host|hostfs|rootfs|node|proc/1/root)[\w.-]{0,40})?"
    r"/(?:etc/(?!resolv\.conf)|root/|boot/|s?bin/|usr/s?bin/|usr/local/s?bin/|lib/systemd|var/spool/cron|var/lib/kubelet)"
)
_ON_NODE = re.compile(
    r"(?<![\w./-])(?:nsenter\s|chroot\s{1,9}/(?:host|mnt|rootfs|node|hostfs)|unshare\s)|/proc/1/root\b"
)
_KILLS = re.compile(
    r"(?<![\w./-])(?:pkill|killall|kill)\s[^|;&\n]{0,200}?(?:xmrig|kdevtmpfsi|kinsing|minerd|miner|falco|sysdig|tetragon|"
    r"crowdstrike|aegis|monitor|agent)"
)
_CLEARS = re.compile(
    r"\bhistory\s{1,9}-c\b|\bunset\s{1,9}HISTFILE|HISTFILE=/dev/null|\.bash_history|(?:>|\b(?:rm|shred|truncate)\s"
    r"[^|;&\n]{0,200}?)\s{0,9}/var/log/"
)


def line_of(command: Sequence[str]) -> str:
    """A command as one line, as much of it as is looked at."""
    return " ".join(command)[:_MOST]


def is_shell(command: Sequence[str]) -> bool:
    """Whether a command starts a shell for someone to type into: one without a script."""
    words = [PurePosixPath(word).name.lower() for word in command[:6]]
    while words and words[0] in ("env", "busybox", "sudo", "script", "exec"):
        words = words[1:]
    if not words or words[0] not in _SHELLS:
        return False
    rest = [word for word in command[1:] if word not in (words[0],)]
    script = next((rest[at + 1] for at, word in enumerate(rest[:-1]) if re.fullmatch(r"-[a-z]{0,4}c", word)), "")
    # The shell that kubectl's users and IDEs start: whichever is there.
    return not script or re.search(r"(?:exec\s+)?(?:/bin/)?(?:ba|da|z|a)?sh\s*(?:$|\|\||;|\))", script) is not None


def reads_credentials(command: Sequence[str]) -> bool:
    """Whether a command names files that hold credentials."""
    return _CREDENTIALS.search(line_of(command)) is not None


def asks_metadata(command: Sequence[str]) -> bool:
    """Whether a command asks the metadata service of a cloud, which hands out the node's credentials."""
    return _METADATA.search(line_of(command)) is not None


def fetches_from_outside(command: Sequence[str]) -> bool:
    """Whether a command loads something from an address that is not the pod itself nor a Service."""
    return _FETCH.search(line_of(command)) is not None


def sends_out(command: Sequence[str]) -> bool:
    """Whether a command sends files to somewhere."""
    return _UPLOAD.search(line_of(command)) is not None


def copies_out(command: Sequence[str]) -> bool:
    """Whether a command is what `kubectl cp` runs to take files out of a pod: tar to standard output."""
    if not command or PurePosixPath(command[0]).name != "tar":
        return False
    return re.search(r"\s-?[a-z]{0,6}c[a-z]{0,6}f\s{1,9}-(?:\s|$)|\s-c\b.*\s-f\s{1,9}-", line_of(command)) is not None


def installs_packages(command: Sequence[str]) -> bool:
    return _PACKAGES.search(line_of(command)) is not None


def writes_system_files(command: Sequence[str]) -> bool:
    """Whether a command writes to directories of the system, the node's below a mount point included."""
    return _WRITES.search(line_of(command)) is not None


def goes_to_node(command: Sequence[str]) -> bool:
    """Whether a command enters the namespaces or the root directory of the node."""
    return _ON_NODE.search(line_of(command)) is not None


def kills_competitors(command: Sequence[str]) -> bool:
    """Whether a command ends other miners, or what watches for them."""
    return _KILLS.search(line_of(command)) is not None


def clears_traces(command: Sequence[str]) -> bool:
    return _CLEARS.search(line_of(command)) is not None
