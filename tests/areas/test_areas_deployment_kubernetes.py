"""Kubernetes manifests: every pod is found and judged by the Pod Security Standards, with lines; hostile files end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from bartizan.areas.deployment.manifests import Value, documents
from bartizan.areas.deployment.pod_rules import weaknesses
from bartizan.areas.deployment.workloads import collect
from bartizan.engine import registry
from bartizan.model.errors import InputError
from bartizan.model.findings import Finding, Job, Severity, Verdict
from bartizan.model.system import Asset, Kind
from bartizan.testing.checks import contract

CHECK = "deployment.kubernetes"
CLUSTER = Asset(id="cluster", kind=Kind.CLUSTER, uri="k8s")
PIN = "@sha256:" + "a" * 64

POD = f"""\
automountServiceAccountToken: false
securityContext: {{runAsNonRoot: true, runAsUser: 10001, seccompProfile: {{type: RuntimeDefault}}}}
containers:
- name: app
  image: registry.example/app:1{PIN}
  resources: {{limits: {{memory: 1Gi}}}}
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: {{drop: [ALL]}}
  volumeMounts: [{{name: tmp, mountPath: /tmp}}]
volumes:
- {{name: tmp, emptyDir: {{}}}}
"""
"""A pod that keeps the restricted profile and what this check asks for beyond it; its container starts on line 4."""


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


def pod(spec: str = POD) -> str:
    return "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n" + indented(spec, 2)


def failing(text: str) -> set[tuple[str, int, Severity]]:
    values = [value for value in documents(text, "f") if isinstance(value, Value)]
    declared = collect(values)
    assert not declared.unread
    return {(w.rule, w.place.line, w.severity) for p in declared.pods for w in weaknesses(p, declared.tokenless) if w.fails}


def changed(*pairs: str) -> str:
    spec = POD
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in spec
        spec = spec.replace(old, new, 1)
    return pod(spec)


WEAK = {
    "privileged": (changed("drop: [ALL]}", "drop: [ALL]}\n    privileged: true"), ("privileged", 15, Severity.HIGH)),
    "privileged in YAML 1.1": (changed("drop: [ALL]}", "drop: [ALL]}\n    privileged: yes"), ("privileged", 15, Severity.HIGH)),
    "escalation allowed": (changed("Escalation: false", "Escalation: true"), ("escalation", 12, Severity.MEDIUM)),
    "escalation not said": (changed("    allowPrivilegeEscalation: false\n", ""), ("escalation", 8, Severity.MEDIUM)),
    "non-root not asked": (changed("runAsNonRoot: true, runAsUser: 10001, ", ""), ("root-user", 8, Severity.MEDIUM)),
    "root": (changed("runAsUser: 10001", "runAsUser: 0"), ("root-user", 6, Severity.HIGH)),
    "root in the container": (changed("drop: [ALL]}", "drop: [ALL]}\n    runAsUser: 0"), ("root-user", 15, Severity.HIGH)),
    "non-root taken back": (
        changed("runAsUser: 10001, ", "", "drop: [ALL]}", "drop: [ALL]}\n    runAsNonRoot: false"),
        ("root-user", 15, Severity.MEDIUM),
    ),
    "tag": (changed(PIN, ""), ("unpinned-image", 9, Severity.MEDIUM)),
    "latest": (changed(f":1{PIN}", ":latest"), ("unpinned-image", 9, Severity.HIGH)),
    "no tag": (changed(f":1{PIN}", ""), ("unpinned-image", 9, Severity.HIGH)),
    "no image": (changed(f"  image: registry.example/app:1{PIN}\n", ""), ("unpinned-image", 8, Severity.MEDIUM)),
    "host network": (changed("volumes:", "hostNetwork: true\nvolumes:"), ("host-namespace", 16, Severity.HIGH)),
    "host processes": (changed("volumes:", "hostPID: true\nvolumes:"), ("host-namespace", 16, Severity.HIGH)),
    "host path": (changed("emptyDir: {}", "hostPath: {path: /var/run/docker.sock}"), ("host-path", 17, Severity.HIGH)),
    "host port": (
        changed("  volumeMounts", "  ports: [{containerPort: 80, hostPort: 80}]\n  volumeMounts"),
        ("host-port", 15, Severity.HIGH),
    ),
    "capability": (changed("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]"), ("capability", 14, Severity.HIGH)),
    "baseline capability": (changed("drop: [ALL]", "drop: [ALL], add: [CHOWN]"), ("capability", 14, Severity.MEDIUM)),
    "nothing dropped": (changed("    capabilities: {drop: [ALL]}\n", ""), ("capability", 8, Severity.MEDIUM)),
    "one dropped": (changed("drop: [ALL]", "drop: [MKNOD]"), ("capability", 14, Severity.MEDIUM)),
    "no limit": (changed("  resources: {limits: {memory: 1Gi}}\n", ""), ("limits", 8, Severity.MEDIUM)),
    "token by default": (changed("automountServiceAccountToken: false\n", ""), ("token", 5, Severity.MEDIUM)),
    "token asked for": (changed("Token: false", "Token: true"), ("token", 5, Severity.MEDIUM)),
    "secret value": (
        changed("  volumeMounts", "  env: [{name: DB_PASSWORD, value: hunter2}]\n  volumeMounts"),
        ("secret", 15, Severity.HIGH),
    ),
    "writable": (changed("Filesystem: true", "Filesystem: false"), ("writable", 13, Severity.MEDIUM)),
    "seccomp off": (changed("type: RuntimeDefault", "type: Unconfined"), ("unconfined", 6, Severity.HIGH)),
    "sysctl": (
        changed("runAsNonRoot: true", "runAsNonRoot: true, sysctls: [{name: kernel.msgmax, value: '1'}]"),
        ("sysctl", 6, Severity.HIGH),
    ),
    "init container": (
        changed("volumes:", f"initContainers:\n- name: i\n  image: b{PIN}\n  securityContext: {{privileged: true}}\nvolumes:"),
        ("privileged", 19, Severity.HIGH),
    ),
}


@pytest.mark.parametrize("name", WEAK)
def test_each_weakness_is_found_with_its_line(name: str) -> None:
    text, expected = WEAK[name]
    assert yaml.safe_load(text)["kind"] == "Pod"
    found = failing(text)
    assert expected in found
    if name != "init container":
        assert found == {expected}


GOOD = {
    "restricted": pod(),
    "with a service": pod() + "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n",
    "user alone": changed("runAsNonRoot: true, ", ""),
    "non-root alone": changed(", runAsUser: 10001", ""),
    "container counts before the pod": changed("runAsUser: 10001", "runAsUser: 0", "drop: [ALL]}", "drop: [ALL]}\n    runAsUser: 7"),
    "low port": changed("drop: [ALL]", "drop: [ALL], add: [NET_BIND_SERVICE]"),
    "secret reference": changed(
        "  volumeMounts",
        "  env:\n  - {name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}\n  - {name: MAX_TOKENS, value: '9'}\n  volumeMounts",
    ),
    "secret file": changed(
        "  volumeMounts", "  env: [{name: DB_PASSWORD, value: $(OTHER)}, {name: API_TOKEN, value: /run/t}]\n  volumeMounts"
    ),
    "token off in the account": changed("automountServiceAccountToken: false", "serviceAccountName: a")
    + "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: a}\nautomountServiceAccountToken: false\n",
    "limits of the pod": changed("  resources: {limits: {memory: 1Gi}}\n", "", "volumes:", "resources: {limits: {memory: 1Gi}}\nvolumes:"),
    "safe sysctl": changed("runAsNonRoot: true", "runAsNonRoot: true, sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}]"),
    "anchors and merge": changed("  securityContext:\n", "  securityContext:\n    <<: {privileged: false}\n"),
    "old octal number": changed("emptyDir: {}", "secret: {defaultMode: 0644, secretName: s}"),
}


@pytest.mark.parametrize("name", GOOD)
def test_good_pods_give_no_alarm(name: str) -> None:
    assert failing(GOOD[name]) == set()


def template(kind: str, api: str = "apps/v1") -> str:
    body = f"template:\n  metadata: {{labels: {{a: b}}}}\n  spec:\n{indented(POD, 4)}"
    if kind == "CronJob":
        body = "jobTemplate:\n  spec:\n" + indented(body, 4)
    return f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: w}}\nspec:\n{indented(body, 2)}"


KINDS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Rollout")


@pytest.mark.parametrize("kind", KINDS)
def test_pods_of_every_workload_are_found(kind: str) -> None:
    """Rollout stands for the kinds that are not built in: whatever lists containers with images is a pod."""
    assert failing(template(kind)) == set()
    rules = {rule for rule, _, _ in failing(template(kind).replace("drop: [ALL]}", "drop: [ALL], add: [SYS_PTRACE]}"))}
    assert rules == {"capability"}


def test_lists_are_opened_and_documents_keep_their_lines() -> None:
    weak = changed("Token: false", "Token: true")
    items = "apiVersion: v1\nkind: List\nitems:\n-\n" + indented(weak, 2)
    text = f"# first\n--- # a comment\n{pod()}...\n---\n{items}---\n"
    first = 2 + pod().count("\n") + 2
    assert failing(text) == {("token", first + 4 + 5, Severity.MEDIUM)}


def run_on(run_check, tmp_path: Path, **files: str | bytes) -> dict[str, Finding]:
    for name, content in files.items():
        path = tmp_path / "k8s" / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {finding.threat: finding for finding in run_check(CHECK, CLUSTER)}


def test_a_good_folder_passes_with_its_limits_said(run_check, tmp_path: Path) -> None:
    found = run_on(run_check, tmp_path, a=pod(), b__c=template("Deployment"), values="replicas: 2\n")
    assert {f.verdict for f in found.values()} == {Verdict.PASS}
    assert found["container-compromise"].details["probability_cap"] == 0.2
    assert "2 pods" in found["shared-training-host"].title


def test_each_threat_gets_the_weaknesses_that_serve_it(run_check, tmp_path: Path) -> None:
    found = run_on(run_check, tmp_path, a=changed(PIN, ""))
    assert (found["container-compromise"].verdict, found["shared-training-host"].verdict) == (Verdict.FAIL, Verdict.PASS)
    found = run_on(run_check, tmp_path, a=changed("  resources: {limits: {memory: 1Gi}}\n", ""))
    assert (found["container-compromise"].verdict, found["shared-training-host"].verdict) == (Verdict.PASS, Verdict.FAIL)
    found = run_on(run_check, tmp_path, a=changed("volumes:", "hostNetwork: true\nvolumes:"))
    assert {str(p) for f in found.values() for p in f.places} == {"k8s/a.yaml:16"}


@pytest.mark.parametrize(
    "text",
    [
        "{{- if .Values.on }}\n" + pod() + "{{- end }}\n",
        changed(f"registry.example/app:1{PIN}", '"{{ .Values.image }}"'),
        changed(f"registry.example/app:1{PIN}", "{{ .Values.image }}"),
        pod().replace("kind: Pod", "kind: {{ .Values.kind }}"),
    ],
)
def test_templates_are_unknown(run_check, tmp_path: Path, text: str) -> None:
    found = run_on(run_check, tmp_path, good=pod(), template=text)
    assert {f.verdict for f in found.values()} == {Verdict.UNKNOWN}
    assert all("helm template" in f.remedy for f in found.values())


def test_a_template_beside_a_weak_pod_hides_nothing(run_check, tmp_path: Path) -> None:
    found = run_on(run_check, tmp_path, weak=changed("Token: false", "Token: true"), template="{{ x }}: {{ y }\n")
    assert found["container-compromise"].verdict is Verdict.FAIL
    assert "Not judged" in found["container-compromise"].why


def test_a_template_in_an_annotation_is_text(run_check, tmp_path: Path) -> None:
    text = template("Deployment").replace("metadata: {labels: {a: b}}", "metadata: {annotations: {t: '{{ with secret }}'}}")
    assert {f.verdict for f in run_on(run_check, tmp_path, a=text).values()} == {Verdict.PASS}


@pytest.mark.parametrize("text", ["", "a: 1\n", "apiVersion: v1\nkind: Service\nspec: {}\n"])
def test_without_a_pod_there_is_no_verdict(run_check, tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="declares no pod"):
        run_on(run_check, tmp_path, a=text)


def test_a_pod_without_containers_is_not_passed(run_check, tmp_path: Path) -> None:
    found = run_on(run_check, tmp_path, a="apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {}\n")
    assert {f.verdict for f in found.values()} == {Verdict.UNKNOWN}


def test_pods_that_a_platform_makes_are_not_passed(run_check, tmp_path: Path) -> None:
    model = "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\nmetadata: {name: m}\nspec: {predictor: {model: {}}}\n"
    assert {f.verdict for f in run_on(run_check, tmp_path, a=pod(), b=model).values()} == {Verdict.UNKNOWN}


BOMB = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(f"b{i}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(12))


@pytest.mark.parametrize(
    "content",
    [
        b"a: " + b"x" * 10_000_000,
        b"a: " + b"[" * 1_000_000,
        b"a: " + b"{a: " * 500_000,
        b"\xff\xfe\x00" * 100_000,
        BOMB.encode(),
        b"a: &a [*a]\n",
        b"---\n" * 900_000,
        b"---\na: 1\n" * 300_000,
        b"- " * 1_000_000,
        b"apiVersion: v1\nkind: Pod\nspec:\n"
        + b"".join(b"  k%d: 1\n" % i for i in range(60_000))
        + b"  containers:\n"
        + b"  - {}\n" * 60_000,
        b"apiVersion: v1\nkind: Custom\nspec: [" + b"{containers: []}, " * 100_000 + b"]\n",
        b"apiVersion: v1\nkind: List\nitems: [" + b"{apiVersion: v1, kind: Pod, spec: {containers: [{}]}}, " * 30_000 + b"]\n",
        b"\0" * 100_000,
        b"'" * 1_000_001,
    ],
)
def test_hostile_files_end_quickly(run_check, tmp_path: Path, content: bytes) -> None:
    begun = time.process_time()
    try:
        found = run_on(run_check, tmp_path, a=content)
    except InputError as error:
        assert "declares no pod" in str(error)  # noqa: PT017 - the one error that a hostile file may end in
    else:
        assert Verdict.PASS not in {f.verdict for f in found.values()}
    assert time.process_time() - begun < 8


def test_keeps_the_contract(tmp_path: Path) -> None:
    described = registry.get(CHECK)
    jobs = []
    for name, text in (("weak.yaml", WEAK["privileged"][0]), ("good.yaml", pod()), ("odd.yaml", "{{ x }}: y")):
        (tmp_path / name).write_text(text)
        subject = Asset(id="cluster", kind=Kind.CLUSTER, uri=name)
        jobs.append(Job(check=CHECK, version="1", threats=described.threats, subject=subject, root=str(tmp_path)))
    assert [o.findings[0].verdict for o in contract(described, jobs)] == [Verdict.FAIL, Verdict.PASS, Verdict.UNKNOWN]
