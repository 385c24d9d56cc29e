"""What makes a pod weak: the Pod Security Standards of Kubernetes (baseline: high, restricted: medium or low), and what they leave out.

They leave out images without digest, secrets in the environment, tokens nobody asked for, limits and writable file systems.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from bartizan.areas.deployment import images
from bartizan.areas.deployment.manifests import Value
from bartizan.areas.deployment.weakness import Weakness
from bartizan.areas.deployment.workloads import Pod
from bartizan.methods import secret_shapes
from bartizan.model.errors import Place, one_line
from bartizan.model.findings import Severity

HOST_RULES = frozenset(
    {"host-namespace", "host-path", "host-port", "privileged", "host-process", "capability", "escalation", "unconfined", "sysctl", "limits"}
)
"""Rules about what separates a pod from its host and from the other pods there."""

IMAGE_RULES_EXCLUDED = frozenset({"limits"})
"""Rules that say nothing about what an intruder in the container gains."""

_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
        "SETUID", "SYS_CHROOT",
    }
)  # fmt: skip
_SAFE_SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    }
)  # fmt: skip


@dataclass(frozen=True)
class _Rule:
    name: str
    severity: Severity
    remedy: str

    def at(self, where: str, what: str, place: Place) -> Weakness:
        return Weakness(self.name, f"{where} {what}", self.severity, place, self.remedy)


_HOST = _Rule("host-namespace", Severity.HIGH, "Remove hostNetwork, hostPID and hostIPC.")
_HOST_PATH = _Rule(
    "host-path", Severity.HIGH, "Mount volumes that belong to the pod (emptyDir, persistentVolumeClaim), never a path of the host."
)
_HOST_PORT = _Rule("host-port", Severity.HIGH, "Publish ports through a Service instead of hostPort.")
_PRIVILEGED = _Rule("privileged", Severity.HIGH, "Remove privileged: true and ask for the one device or capability that is needed.")
_HOST_PROCESS = _Rule("host-process", Severity.HIGH, "Remove windowsOptions.hostProcess.")
_UNCONFINED = _Rule("unconfined", Severity.HIGH, "Use the profiles of the container runtime (RuntimeDefault) and the default procMount.")
_SYSCTL = _Rule("sysctl", Severity.HIGH, "Set only the kernel parameters that Kubernetes calls safe.")
_CAPABILITY_ADDED = _Rule("capability", Severity.HIGH, "Drop ALL capabilities and add none but NET_BIND_SERVICE.")
_CAPABILITY = _Rule("capability", Severity.MEDIUM, "Drop ALL capabilities and add none but NET_BIND_SERVICE.")
_ESCALATION = _Rule("escalation", Severity.MEDIUM, "Set allowPrivilegeEscalation: false on each container.")
_ROOT = _Rule("root-user", Severity.HIGH, "Set runAsNonRoot: true and a numbered runAsUser above 0.")
_MAYBE_ROOT = _Rule("root-user", Severity.MEDIUM, "Set runAsNonRoot: true and a numbered runAsUser above 0.")
_SECCOMP = _Rule("seccomp", Severity.LOW, "Set seccompProfile.type: RuntimeDefault.")
_WRITABLE = _Rule("writable", Severity.MEDIUM, "Set readOnlyRootFilesystem: true and mount an emptyDir where files must be written.")
_LIMITS = _Rule("limits", Severity.MEDIUM, "Set resources.limits for memory, and for the processor where the node is shared.")
_TOKEN = _Rule("token", Severity.MEDIUM, "Set automountServiceAccountToken: false where the pod does not call the Kubernetes API.")
_SECRET = _Rule(
    "secret", Severity.HIGH, "Move the secret into a Secret or a vault (valueFrom.secretKeyRef) and replace it wherever it was valid."
)


@dataclass(frozen=True)
class _Inherited:
    """What a pod says for all its containers, read once."""

    windows: bool
    user: Value | None
    nonroot: Value | None
    seccomp: bool
    memory: bool

    @classmethod
    def of(cls, spec: Value) -> _Inherited:
        return cls(
            windows=spec.word("os", "name") == "windows",
            user=spec.get("securityContext", "runAsUser"),
            nonroot=spec.get("securityContext", "runAsNonRoot"),
            seccomp=spec.get("securityContext", "seccompProfile") is not None,
            memory=spec.get("resources", "limits", "memory") is not None,
        )


def weaknesses(pod: Pod, tokenless: AbstractSet[tuple[str, str]]) -> list[Weakness]:
    """The weaknesses of one pod; `tokenless` are the (namespace, name) of service accounts that mount no token."""
    found = [*_pod(pod, tokenless)]
    inherited = _Inherited.of(pod.spec)
    for container in pod.containers():
        where = f"{pod.owner}: container {one_line(container.word('name') or '?', 60)}"
        found += _isolation(container, where)
        if not inherited.windows:
            found += _user(inherited, container, where)
            found += _hardening(inherited, container, where)
        found += _image(container, where)
        found += _environment(container, where)
        if container.get("resources", "limits", "memory") is None and not inherited.memory:
            found.append(_LIMITS.at(where, "has no limit of memory", container.place))
    return found


def _pod(pod: Pod, tokenless: AbstractSet[tuple[str, str]]) -> Iterator[Weakness]:
    spec = pod.spec
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if (value := spec.get(key)) is not None and value.true:
            yield _HOST.at(pod.owner, f"shares the host's own namespace ({key})", value.place)
    for volume in spec.entries("volumes"):
        if (path := volume.get("hostPath")) is not None:
            yield _HOST_PATH.at(pod.owner, f"mounts {one_line(path.word('path') or 'a path', 80)} of the host", path.place)
    for sysctl in spec.entries("securityContext", "sysctls"):
        if sysctl.word("name") not in _SAFE_SYSCTLS:
            yield _SYSCTL.at(pod.owner, f"sets the kernel parameter {one_line(sysctl.word('name'), 60)}", sysctl.place)
    token = spec.get("automountServiceAccountToken")
    account = spec.word("serviceAccountName") or spec.word("serviceAccount") or "default"
    if token is None:
        if (pod.namespace, account) not in tokenless:
            yield _TOKEN.at(pod.owner, "is given a token of the Kubernetes API by default", spec.place)
    elif not token.false:
        yield _TOKEN.at(pod.owner, "asks for a token of the Kubernetes API", token.place)
    yield from _unconfined(spec, pod.owner)
    for value in pod.annotations.children() if pod.annotations is not None else ():
        if value.text == "unconfined":
            yield _UNCONFINED.at(pod.owner, "switches a profile of the kernel off", value.place)


def _unconfined(holder: Value, where: str) -> Iterator[Weakness]:
    for key in ("seccompProfile", "appArmorProfile"):
        if (kind := holder.get("securityContext", key, "type")) is not None and kind.text == "Unconfined":
            yield _UNCONFINED.at(where, f"switches {key} off", kind.place)
    mount = holder.get("securityContext", "procMount")
    if mount is not None and mount.text != "Default":
        yield _UNCONFINED.at(where, f"asks for procMount {one_line(mount.text, 40)}", mount.place)
    host = holder.get("securityContext", "windowsOptions", "hostProcess")
    if host is not None and host.true:
        yield _HOST_PROCESS.at(where, "runs as a process of the host", host.place)


def _isolation(container: Value, where: str) -> Iterator[Weakness]:
    privileged = container.get("securityContext", "privileged")
    if privileged is not None and privileged.true:
        yield _PRIVILEGED.at(where, "is privileged", privileged.place)
    for port in container.entries("ports"):
        if (host := port.get("hostPort")) is not None and host.text != "0":
            yield _HOST_PORT.at(where, f"takes port {one_line(host.text, 10)} of the host", host.place)
    for added in container.entries("securityContext", "capabilities", "add"):
        name = added.text.upper().removeprefix("CAP_")
        if name not in _BASELINE_CAPABILITIES:
            yield _CAPABILITY_ADDED.at(where, f"adds the capability {one_line(name, 40)}", added.place)
        elif name != "NET_BIND_SERVICE":
            yield _CAPABILITY.at(where, f"adds the capability {name}", added.place)
    yield from _unconfined(container, where)


def _user(inherited: _Inherited, container: Value, where: str) -> Iterator[Weakness]:
    """What the container says counts before what the pod says."""
    user = container.get("securityContext", "runAsUser") or inherited.user
    if user is not None and _number(user.text) == 0:
        yield _ROOT.at(where, "runs as root (runAsUser 0)", user.place)
        return
    nonroot = container.get("securityContext", "runAsNonRoot") or inherited.nonroot
    if (nonroot is None or not nonroot.true) and (user is None or _number(user.text) is None):
        yield _MAYBE_ROOT.at(where, "may run as root (runAsNonRoot is not true)", (nonroot or container).place)


def _number(text: str) -> int | None:
    try:
        return int(text[:20], 0)
    except ValueError:
        return 0 if text and not text.strip("0") else None


def _hardening(inherited: _Inherited, container: Value, where: str) -> Iterator[Weakness]:
    escalation = container.get("securityContext", "allowPrivilegeEscalation")
    if escalation is None or not escalation.false:
        yield _ESCALATION.at(where, "may gain privileges (allowPrivilegeEscalation is not false)", (escalation or container).place)
    if not any(dropped.text.upper() == "ALL" for dropped in container.entries("securityContext", "capabilities", "drop")):
        place = (container.get("securityContext", "capabilities") or container).place
        yield _CAPABILITY.at(where, "keeps capabilities (drop: [ALL] is missing)", place)
    readonly = container.get("securityContext", "readOnlyRootFilesystem")
    if readonly is None or not readonly.true:
        yield _WRITABLE.at(where, "may change its own files (readOnlyRootFilesystem is not true)", (readonly or container).place)
    if container.get("securityContext", "seccompProfile") is None and not inherited.seccomp:
        yield _SECCOMP.at(where, "has no seccompProfile", container.place)


def _image(container: Value, where: str) -> Iterator[Weakness]:
    image = container.get("image")
    if image is None:
        remedy = "Name each image by digest where it is declared, and declare the rendered manifest."
        yield Weakness("unpinned-image", f"{where} names no image", Severity.MEDIUM, container.place, remedy)
    elif (bad := images.loose(image.text)) is not None:
        yield Weakness("unpinned-image", f"{where}: {bad[0]}", bad[1], image.place, images.REMEDY)


def _environment(container: Value, where: str) -> Iterator[Weakness]:
    for entry in container.entries("env"):
        value = entry.get("value")
        if value is None or value.text.startswith("$("):
            continue
        name = entry.word("name")
        if secret_shapes.secret_value(value.text) or (secret_shapes.secret_name(name) and secret_shapes.literal(value.text, name)):
            yield _SECRET.at(where, f"has a secret in {one_line(name, 60)} as plain text", entry.place)
    for part in (*container.entries("command"), *container.entries("args")):
        if secret_shapes.secret_value(part.text):
            yield _SECRET.at(where, "has a secret in its command line", part.place)
