"""What in a configuration leaves a store open or unencrypted: bucket policies, Terraform, CloudFormation, compose files.

Sources: AWS, Google Cloud and Azure provider documentation of Terraform; AWS CloudFormation resource reference; Amazon S3 policy grammar;
MinIO's server and client documentation. S3 has encrypted new objects by default since January 2023, so that a missing encryption block is
none of the weaknesses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from bartizan.areas.provenance.storage_hcl import Block, Raw
from bartizan.areas.provenance.storage_values import Lined
from bartizan.model.errors import Place, one_line
from bartizan.model.findings import Severity

PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read", "publicread", "publicreadwrite", "authenticatedread"})
EVERYBODY = frozenset({"allusers", "allauthenticatedusers"})
_GROUPS = ("/groups/global/allusers", "/groups/global/authenticatedusers")
_BLOCKS = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")
_CFN_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
_ENCRYPTED = {
    "aws_efs_file_system": "encrypted",
    "aws_ebs_volume": "encrypted",
    "aws_db_instance": "storage_encrypted",
    "aws_rds_cluster": "storage_encrypted",
    "aws_redshift_cluster": "encrypted",
}
_CFN_ENCRYPTED = {
    "AWS::EFS::FileSystem": "Encrypted",
    "AWS::EC2::Volume": "Encrypted",
    "AWS::RDS::DBInstance": "StorageEncrypted",
    "AWS::RDS::DBCluster": "StorageEncrypted",
}
_STORES = ("aws_s3_bucket", "google_storage_bucket", "azurerm_storage_account", "azurerm_storage_container", "minio_s3_bucket", *_ENCRYPTED)


class Weakness(msgspec.Struct, frozen=True):
    """`what` is one sentence without a full stop; `store` the name of the bucket or volume, None where it is not told."""

    what: str
    severity: Severity
    place: Place
    remedy: str
    store: str | None = None


class Store(msgspec.Struct, frozen=True):
    """A store that a configuration sets up; `name` None where it is not told."""

    name: str | None
    place: Place


Said = Weakness | Store

_PRIVATE = "Let named identities read, and nobody else."
_CREDENTIALS = "Set credentials of your own, from a secret."


def policy(value: Any, name: str, line: int, store: str | None = None) -> Iterator[Said]:
    """What the statements of a bucket policy allow to everybody; `line` is used where the policy has none of its own."""
    statements = value.get("Statement") if isinstance(value, dict) else None
    for one in statements if isinstance(statements, list) else [statements]:
        if not isinstance(one, dict) or str(one.get("Effect")).lower() != "allow":
            continue
        place = Place(name, one.line if isinstance(one, Lined) and not line else line)
        bucket = store or _bucket_of(one.get("Resource"))
        anyone = _anyone(one.get("Principal")) or "NotPrincipal" in one
        if anyone and one.get("Condition"):
            yield Weakness("a policy lets everybody in under a condition", Severity.LOW, place, "Name the identities instead.", bucket)
        elif anyone:
            actions = one.get("Action")
            said = one_line(", ".join(map(str, actions)) if isinstance(actions, list) else str(actions), 80)
            yield Weakness(f"a policy lets everybody do {said}", Severity.HIGH, place, _PRIVATE, bucket)


def terraform(blocks: list[Block], name: str) -> Iterator[Said]:
    """What the resources of Terraform files say about stores."""
    names = {f"{b.labels[0]}.{b.labels[1]}": b.attributes for b in blocks if b.kind == "resource" and len(b.labels) == 2}
    for block in blocks:
        if len(block.labels) != 2:
            continue
        if block.kind == "data" and block.labels[0] == "aws_iam_policy_document":
            yield from _policy_document(block, name)
        elif block.kind == "resource":
            store = _named(block, names)
            if block.labels[0] in _STORES:
                yield Store(store, Place(name, block.line))
            yield from _resource(block, name, store)


def _resource(block: Block, name: str, store: str | None) -> Iterator[Said]:
    kind = block.labels[0]

    def weak(what: str, attribute: str, remedy: str = _PRIVATE, severity: Severity = Severity.HIGH) -> Weakness:
        return Weakness(what, severity, Place(name, block.lines.get(attribute, block.line)), remedy, store)

    said = block.attributes
    if kind.startswith(("aws_s3", "minio_s3")):
        acl = str(said.get("acl")).lower()
        if acl in PUBLIC_ACLS or (kind.startswith("minio") and acl in ("public", "public-read", "public-read-write")):
            yield weak(f"the access list is {acl}", "acl")
        for grantee in _uris(block):
            yield weak(f"a grant goes to {grantee}", "acl")
        if kind == "aws_s3_bucket_public_access_block":
            off = [key for key in _BLOCKS if said.get(key) is False]
            if off:
                yield weak(f"the guard against public access is off: {', '.join(off)}", off[0], f"Set {off[0]} = true.", Severity.MEDIUM)
        if "policy" in said and not isinstance(said["policy"], Raw):
            yield from policy(_parsed(said["policy"], name), name, block.lines["policy"], store)
    elif kind.startswith("google_storage"):
        members = [said.get("member"), said.get("entity"), *(said.get("members") or [])]
        for member in members:
            if str(member).lower() in EVERYBODY:
                yield weak(f"{member} may {said.get('role', 'read')}", "member" if said.get("member") else "members")
        if str(said.get("predefined_acl")).lower() in PUBLIC_ACLS:
            yield weak(f"the access list is {said['predefined_acl']}", "predefined_acl")
    elif kind.startswith("azurerm_storage"):
        for key in ("allow_nested_items_to_be_public", "allow_blob_public_access"):
            if said.get(key) is True:
                yield weak("containers may be opened to everybody", key, f"Set {key} = false.", Severity.MEDIUM)
        if str(said.get("container_access_type")).lower() in ("blob", "container"):
            yield weak(f"everybody may read ({said['container_access_type']})", "container_access_type")
        for key in ("https_traffic_only_enabled", "enable_https_traffic_only"):
            if said.get(key) is False:
                yield weak("it answers without encryption", key, f"Set {key} = true.", Severity.MEDIUM)
    elif kind in _ENCRYPTED and said.get(_ENCRYPTED[kind]) in (None, False, "false"):
        yield weak("it is not encrypted at rest", _ENCRYPTED[kind], f"Set {_ENCRYPTED[kind]} = true.", Severity.MEDIUM)


def _policy_document(block: Block, name: str) -> Iterator[Said]:
    for statement in block.all("statement"):
        actions = [str(action) for action in statement.attributes.get("actions") or []]
        everybody = any("*" in (inner.attributes.get("identifiers") or []) for inner in statement.all("principals"))
        if (
            statement.attributes.get("effect", "Allow") != "Allow"
            or not everybody
            or not any(a.startswith("s3:") or a == "*" for a in actions)
        ):
            continue
        bucket = _bucket_of(statement.attributes.get("resources"))
        severity = Severity.LOW if any(statement.all("condition")) else Severity.HIGH
        yield Weakness(
            f"a policy lets everybody do {one_line(', '.join(actions), 80)}", severity, Place(name, statement.line), _PRIVATE, bucket
        )


def cloudformation(value: Any, name: str) -> Iterator[Said]:
    """What the resources of a CloudFormation template say about stores."""
    resources = value.get("Resources")
    for label, resource in resources.items() if isinstance(resources, Lined) else ():
        if not isinstance(resource, Lined):
            continue
        kind, said = str(resource.get("Type")), resource.get("Properties") or Lined(resource.line)
        if not isinstance(said, Lined):
            continue
        line = resources.lines[label]
        store = said.get("BucketName") if isinstance(said.get("BucketName"), str) else None
        if kind == "AWS::S3::Bucket":
            yield Store(store, Place(name, line))
            acl = str(said.get("AccessControl"))
            if acl.lower() in PUBLIC_ACLS:
                yield Weakness(f"the access list is {acl}", Severity.HIGH, Place(name, said.lines["AccessControl"]), _PRIVATE, store)
            guard = said.get("PublicAccessBlockConfiguration")
            off = [key for key in _CFN_BLOCKS if isinstance(guard, Lined) and guard.get(key) in (False, "false")]
            if off and isinstance(guard, Lined):
                place = Place(name, guard.lines[off[0]])
                what = f"the guard against public access is off: {', '.join(off)}"
                yield Weakness(what, Severity.MEDIUM, place, f"Set {off[0]}: true.", store)
        elif kind == "AWS::S3::BucketPolicy":
            yield from policy(said.get("PolicyDocument"), name, 0)
        elif kind in _CFN_ENCRYPTED:
            yield Store(None, Place(name, line))
            if said.get(_CFN_ENCRYPTED[kind]) in (None, False, "false"):
                key = _CFN_ENCRYPTED[kind]
                place = Place(name, said.lines.get(key, line))
                yield Weakness("it is not encrypted at rest", Severity.MEDIUM, place, f"Set {key}: true.")


def compose(value: Any, name: str) -> Iterator[Said]:
    """What a compose file says about MinIO: credentials that everybody knows, buckets opened to everybody."""
    services = value.get("services")
    for label, service in services.items() if isinstance(services, Lined) else ():
        if not isinstance(service, Lined) or "minio" not in str(service.get("image")).lower():
            continue
        line = services.lines[label]
        if "/mc" not in str(service.get("image")):
            yield Store(None, Place(name, line))
        for key, given in _environment(service):
            if key in ("MINIO_ROOT_PASSWORD", "MINIO_SECRET_KEY") and given in ("minioadmin", "minio123", "minio", "password", "changeme"):
                yield Weakness(f"the password of MinIO is '{given}', which everybody knows", Severity.HIGH, Place(name, line), _CREDENTIALS)
        words = " ".join(_words(service.get("command")) + _words(service.get("entrypoint")))
        for verb in ("anonymous set", "policy set"):
            for mode in ("public", "download", "upload"):
                if f"{verb} {mode}" in words:
                    what = f"a bucket is opened to everybody ({verb} {mode})"
                    key = "command" if service.get("command") and verb in " ".join(_words(service["command"])) else "entrypoint"
                    yield Weakness(what, Severity.HIGH, Place(name, service.lines.get(key, line)), _PRIVATE)


def _anyone(principal: Any) -> bool:
    if isinstance(principal, dict):
        return any(_anyone(value) for value in principal.values())
    if isinstance(principal, list):
        return any(_anyone(value) for value in principal)
    return bool(principal == "*")


def _bucket_of(resource: Any) -> str | None:
    first = resource[0] if isinstance(resource, list) and resource else resource
    if not isinstance(first, str) or not first.startswith("arn:aws:s3:::") or "$" in first:
        return None
    return first.removeprefix("arn:aws:s3:::").partition("/")[0] or None


def _named(block: Block, names: dict[str, dict[str, Any]]) -> str | None:
    """The name of the store that a resource is or belongs to."""
    for key in ("bucket", "name", "storage_container_name"):
        value = block.attributes.get(key)
        if isinstance(value, Raw):
            target = names.get(".".join(value.split(".")[:2]), {})
            value = target.get("bucket", target.get("name"))
        if isinstance(value, str) and not isinstance(value, Raw):
            return value
    return None


def _uris(block: Block) -> Iterator[str]:
    """The groups of everybody that grants inside `block`, at any depth, go to."""
    for inner in block.blocks:
        uri = str(inner.attributes.get("uri"))
        if uri.lower().endswith(_GROUPS):
            yield uri.rpartition("/")[2]
        yield from _uris(inner)


def _parsed(value: Any, name: str) -> Any:
    """A policy written as text or as an object."""
    if not isinstance(value, str):
        return value
    from bartizan.areas.provenance.storage_values import read

    return read(value, name)


def _environment(service: Lined) -> Iterator[tuple[str, str]]:
    given = service.get("environment")
    if isinstance(given, dict):
        yield from ((key, str(value)) for key, value in given.items())
    for entry in given if isinstance(given, list) else ():
        key, _, value = str(entry).partition("=")
        yield key, value


def _words(value: Any) -> list[str]:
    return [str(part) for part in value] if isinstance(value, list) else [str(value)] if value is not None else []
