"""Finds the pods that Kubernetes manifests declare, whatever kind of object makes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from bartizan.areas.deployment.manifests import Value
from bartizan.model.errors import one_line

_POD_PATHS = {
    "Pod": ("spec",),
    "PodTemplate": ("template", "spec"),
    "CronJob": ("spec", "jobTemplate", "spec", "template", "spec"),
    **dict.fromkeys(("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"), ("spec", "template", "spec")),
}
_MAKES_PODS = frozenset({"InferenceService", "ServingRuntime", "SeldonDeployment", "Model", "Server"})
"""Kinds of serving platforms (KServe, Seldon) whose pods may come from elsewhere."""

MAX_CONTAINERS = 5_000
"""Most containers that are judged; what is beyond them is named as not judged."""

MAX_VISITED = 50_000
"""Most values of one object that are looked through."""

_LISTS = ("initContainers", "containers", "ephemeralContainers")


@dataclass(frozen=True)
class Pod:
    """A pod template: `owner` is the object that makes it, as `Kind/name`; `annotations` those of the pod, or None."""

    owner: str
    namespace: str
    spec: Value
    annotations: Value | None

    def containers(self) -> Iterator[Value]:
        for name in _LISTS:
            yield from self.spec.entries(name)


@dataclass
class Declared:
    """What the manifests hold: pods, service accounts that mount no token as (namespace, name), and what could not be judged."""

    pods: list[Pod] = field(default_factory=list)
    tokenless: set[tuple[str, str]] = field(default_factory=set)
    containers: int = 0
    unread: list[str] = field(default_factory=list)


def collect(objects: Iterable[Value]) -> Declared:
    """The pods and service accounts of `objects`, lists opened. What is no Kubernetes object is left out."""
    declared = Declared()
    for one in objects:
        _take(one, declared, 0)
    return declared


def _take(one: Value, declared: Declared, depth: int) -> None:
    kind = one.word("kind")
    if not kind or not one.word("apiVersion"):
        if one.get("kind") is not None and one.get("apiVersion") is not None:
            declared.unread.append(f"{one.place} does not name its kind")
        return
    if kind == "List" or (kind.endswith("List") and one.get("items") is not None):
        for item in one.entries("items") if depth < 3 else ():
            _take(item, declared, depth + 1)
        return
    namespace = one.word("metadata", "namespace") or "default"
    name = one_line(f"{kind}/{one.word('metadata', 'name') or one.word('metadata', 'generateName') or '?'}", 120)
    if kind == "ServiceAccount":
        token = one.get("automountServiceAccountToken")
        if token is not None and token.false:
            declared.tokenless.add((namespace, one.word("metadata", "name")))
        return
    pods = list(_specs(one, kind))
    if not pods and kind in _MAKES_PODS:
        declared.unread.append(f"{name} ({one.place}) lists no container: its platform makes the pods")
    for spec, notes in pods:
        reason = _unfit(spec) if spec is not None else "is too large to look through"
        size = sum(len(spec.entries(which)) for which in _LISTS) if spec is not None else 0
        if reason is None and declared.containers + size > MAX_CONTAINERS:
            reason = f"stands after {MAX_CONTAINERS} containers"
        if reason is not None or spec is None:
            declared.unread.append(f"{name} ({(spec or one).place}) {reason}")
        else:
            declared.containers += size
            declared.pods.append(Pod(name, namespace, spec, notes))


def _specs(one: Value, kind: str) -> Iterator[tuple[Value | None, Value | None]]:
    """The specifications of the pods of an object, each with the annotations of the pod; None stands for what is too large."""
    path = _POD_PATHS.get(kind)
    if path is None:
        yield from ((found, None) for found in _searched(one))
        return
    spec = one.get(*path)
    yield (spec if spec is not None else one), one.get(*path[:-1], "metadata", "annotations")


def _searched(one: Value) -> Iterator[Value | None]:
    """Everything in an object of another kind that looks like the specification of a pod: it has a list of containers with images."""
    if one.word("kind") in ("ConfigMap", "Secret", "CustomResourceDefinition"):
        return
    waiting, visited = [one], 0
    while waiting:
        value = waiting.pop()
        visited += 1
        if visited > MAX_VISITED:
            yield None
            return
        if any(entry.get("image") is not None for entry in value.entries("containers")[:5]):
            yield value
            continue
        waiting += reversed(list(value.children()))


def _unfit(spec: Value) -> str | None:
    """Why a specification cannot be judged: a template engine has yet to fill it (unquoted, YAML takes `{{ x }}` for a mapping as a key),
    it lists no container, or it is too large."""
    if not any(spec.entries(which) for which in _LISTS):
        return "declares no container"
    waiting, visited = [spec], 0
    while waiting:
        value = waiting.pop()
        visited += 1
        if visited > MAX_VISITED:
            return "is too large to look through"
        if "{{" in value.text or value.keyed_by_mapping:
            return "holds template expressions"
        waiting += value.children()
    return None
