"""The system as its owner declares it: zones, actors, data, assets, flows, controls, appetite, decisions.

Every field that a user may leave out is None when left out. None means *unknown*, never "no": it raises a question
and lowers no risk. "No" is said with an explicit value (`authn: none`, `online_learning: false`). Every node keeps
the line of the manifest it came from in `at`, which takes no part in digests or comparisons of content.

Terms follow the CycloneDX threat-model and ML-BOM vocabulary.
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, TypeAlias

import msgspec

from bartizan.model.errors import Place
from bartizan.model.inputs import Constraints, Inference


class Trust(StrEnum):
    """How far a zone is trusted, least first. Untrusted content enters from `none`."""

    NONE = "none"
    PARTNER = "partner"
    INTERNAL = "internal"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        return list(Trust).index(self)


class Kind(StrEnum):
    """What a node of the system is. `system`, `actor` and `dataset` have their own sections in the manifest."""

    SYSTEM = "system"
    ACTOR = "actor"
    DATASET = "dataset"
    MODEL = "model"
    ENDPOINT = "endpoint"
    PIPELINE = "pipeline"
    LLM_APP = "llm-app"
    AGENT = "agent"
    TOOL = "tool"
    STORE = "store"
    REGISTRY = "registry"
    CONTAINER = "container"
    CLUSTER = "cluster"
    DEPENDENCIES = "dependencies"
    REPOSITORY = "repository"
    SERVICE = "service"


AI_KINDS = frozenset({Kind.MODEL, Kind.LLM_APP, Kind.AGENT})
"""Kinds whose presence makes a system an AI system."""


class Phase(StrEnum):
    """Phase of the life of an AI system; a field of every check and control."""

    DATA = "data"
    DEVELOPMENT = "development"
    DEPLOYMENT = "deployment"
    OPERATION = "operation"
    GOVERNANCE = "governance"


class Role(StrEnum):
    """Role of the declaring organisation in the sense of the EU AI Act, Article 3."""

    PROVIDER = "provider"
    DEPLOYER = "deployer"
    IMPORTER = "importer"
    DISTRIBUTOR = "distributor"


class Level(StrEnum):
    """Ordinal used for impact, risk and sensitivity of consequences, lowest first."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Level).index(self)


class Stage(StrEnum):
    """What a data set is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"
    RAG = "rag"
    FEEDBACK = "feedback"
    LOGS = "logs"


class Sensitivity(StrEnum):
    """Confidentiality class of data, lowest first."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    RESTRICTED = "restricted"

    @property
    def rank(self) -> int:
        return list(Sensitivity).index(self)


class Subject(StrEnum):
    """Whom the data is about."""

    NONE = "none"
    PERSON = "person"
    CHILD = "child"
    ORGANISATION = "organisation"


class Origin(StrEnum):
    """Where data comes from."""

    OWN = "own"
    PARTNER = "partner"
    PUBLIC = "public"
    SCRAPED = "scraped"
    USERS = "users"
    SYNTHETIC = "synthetic"


class Task(StrEnum):
    """What a model does."""

    TABULAR_CLASSIFICATION = "tabular-classification"
    TABULAR_REGRESSION = "tabular-regression"
    IMAGE_CLASSIFICATION = "image-classification"
    OBJECT_DETECTION = "object-detection"
    AUDIO = "audio"
    BIOMETRIC = "biometric"
    TEXT_CLASSIFICATION = "text-classification"
    TEXT_GENERATION = "text-generation"
    IMAGE_GENERATION = "image-generation"
    EMBEDDING = "embedding"
    RECOMMENDATION = "recommendation"
    ANOMALY_DETECTION = "anomaly-detection"
    FORECASTING = "forecasting"
    REINFORCEMENT_LEARNING = "reinforcement-learning"
    OTHER = "other"


class Output(StrEnum):
    """What a caller gets to see of a prediction."""

    NONE = "none"
    LABEL = "label"
    SCORE = "score"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    TEXT = "text"
    IMAGE = "image"
    EMBEDDING = "embedding"


class Format(StrEnum):
    """How a model is serialised. Inferred from the file's name where the manifest does not say."""

    PICKLE = "pickle"
    JOBLIB = "joblib"
    TORCH = "torch"
    TORCHSCRIPT = "torchscript"
    KERAS = "keras"
    SAVED_MODEL = "saved-model"
    NUMPY = "numpy"
    SKOPS = "skops"
    SAFETENSORS = "safetensors"
    ONNX = "onnx"
    GGUF = "gguf"
    XGBOOST = "xgboost"
    LIGHTGBM = "lightgbm"
    PMML = "pmml"
    OTHER = "other"


class Authn(StrEnum):
    """How a caller proves who it is."""

    NONE = "none"
    API_KEY = "api-key"
    BASIC = "basic"
    JWT = "jwt"
    OAUTH2 = "oauth2"
    OIDC = "oidc"
    MTLS = "mtls"
    SESSION = "session"
    OTHER = "other"


class Authz(StrEnum):
    """How it is decided what a caller may do."""

    NONE = "none"
    ROLE = "role"
    ATTRIBUTE = "attribute"
    OBJECT = "object"


class Autonomy(StrEnum):
    """How far an agent acts by itself, least first."""

    SUGGEST = "suggest"
    APPROVE = "approve"
    ACT = "act"


class Effect(StrEnum):
    """What a tool can do to the world."""

    READ = "read"
    WRITE = "write"
    EXECUTE = "execute"
    SEND = "send"
    PAY = "pay"


class Memory(StrEnum):
    """What an agent remembers."""

    NONE = "none"
    SESSION = "session"
    PERSISTENT = "persistent"


class Holds(StrEnum):
    """What a store keeps."""

    FEATURES = "features"
    EMBEDDINGS = "embeddings"
    DOCUMENTS = "documents"
    WEIGHTS = "weights"
    RECORDS = "records"
    SECRETS = "secrets"


class Acl(StrEnum):
    """How finely a store or registry decides who reads and writes."""

    NONE = "none"
    STORE = "store"
    DOCUMENT = "document"


class Logging(StrEnum):
    """How a system records what it did."""

    NONE = "none"
    PLAIN = "plain"
    TAMPER_EVIDENT = "tamper-evident"


class Oversight(StrEnum):
    """How people oversee what the system decides."""

    NONE = "none"
    ON_THE_LOOP = "on-the-loop"
    IN_THE_LOOP = "in-the-loop"


class Monitor(StrEnum):
    """What is watched in operation."""

    PERFORMANCE = "performance"
    DRIFT = "drift"
    PROBING = "probing"
    RESOURCES = "resources"


class Quota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits that a served asset enforces for one caller. All are counts and at least 0."""

    requests_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None
    cost_per_day: float | None = None
    max_request_bytes: int | None = None
    max_steps: int | None = None


class ActorBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an actor can spend against the system."""

    queries_per_day: int | None = None
    campaigns_per_year: float | None = None


class Node(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every declared thing has: an id, an optional title and its place in the manifest."""

    id: str
    title: str | None = None
    at: Place | None = None


class Zone(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the world with one level of trust."""

    trust: Trust


class Actor(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Someone or something outside that uses the system."""

    zone: str | None = None
    can: tuple[str, ...] | None = None
    sees: tuple[Output, ...] | None = None
    budget: ActorBudget | None = None


class Dataset(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body of data. `retention` is in days; `writers` are ids of actors or free names of roles."""

    stage: Stage
    uri: str | None = None
    digest: str | None = None
    zone: str | None = None
    label: str | None = None
    sensitivity: Sensitivity | None = None
    subjects: tuple[Subject, ...] | None = None
    origin: Origin | None = None
    source: str | None = None
    revision: str | None = None
    licence: str | None = None
    purpose: str | None = None
    writers: tuple[str, ...] | None = None
    annotators: tuple[str, ...] | None = None
    retention: int | None = None
    retention_column: str | None = None  # what dates a row; without `retention` it says when the row expires
    encrypted: bool | None = None
    signature: str | None = None  # the file with the signature
    signed_by: str | None = None  # the public key that must have signed
    configuration: tuple[str, ...] | None = None  # files that set up where it lies: Terraform, CloudFormation, bucket policies, compose
    passport: str | None = None  # the file that `bartizan data record` wrote
    schema: str | None = None  # the file that says what its columns must be
    access: str | None = None  # the policy that says who may read what of it, for which purpose
    derived_from: tuple[str, ...] | None = None


class Asset(Node, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the system that is worth attacking or defending. Which trait fits which kind: `model.traits.TRAIT_KINDS`."""

    kind: Kind
    uri: str | None = None
    digest: str | None = None
    zone: str | None = None
    owner: str | None = None
    impact: Level | None = None
    source: str | None = None
    revision: str | None = None
    # models
    task: Task | None = None
    framework: str | None = None
    format: Format | None = None
    exports: tuple[str, ...] | None = None
    output: Output | None = None
    trained_on: tuple[str, ...] | None = None
    tested_on: tuple[str, ...] | None = None
    base_model: str | None = None
    architecture: str | None = None  # file.py:function that makes the net whose weights `uri` holds
    adapters: tuple[str, ...] | None = None
    fine_tuned: bool | None = None
    compressed: bool | None = None
    online_learning: bool | None = None
    federated: bool | None = None
    physical_input: bool | None = None
    shared_accelerator: bool | None = None
    watermark: bool | None = None
    constraints: Constraints | None = None
    # served things
    serves: tuple[str, ...] | None = None
    url: str | None = None
    inference: Inference | None = None
    authn: Authn | None = None
    authz: Authz | None = None
    quota: Quota | None = None
    multi_tenant: bool | None = None
    code: str | None = None
    # applications of language models and agents
    uses: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    retrieves_from: tuple[str, ...] | None = None
    delegates_to: tuple[str, ...] | None = None
    memory: Memory | None = None
    autonomy: Autonomy | None = None
    renders: str | None = None
    executes_code: bool | None = None
    system_prompt: str | None = None
    untrusted_content: bool | None = None
    # tools
    effects: tuple[Effect, ...] | None = None
    approval: bool | None = None
    third_party: bool | None = None
    # stores and registries
    holds: tuple[Holds, ...] | None = None
    acl: Acl | None = None
    writers: tuple[str, ...] | None = None
    encrypted: bool | None = None
    signed: bool | None = None
    signature: str | None = None  # the file with the signature
    signed_by: str | None = None  # the public key that must have signed
    configuration: tuple[str, ...] | None = None  # files that set it up: Terraform, CloudFormation, bucket policies, compose
    # what builds and hosts
    produces: tuple[str, ...] | None = None
    runs: tuple[str, ...] | None = None
    isolated: bool | None = None


class Flow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}):
    """Data that moves from one node to another (actors, datasets and assets are nodes)."""

    source: str
    target: str
    data: tuple[str, ...] | None = None
    protocol: str | None = None
    encrypted: bool | None = None
    authenticated: bool | None = None
    untrusted: bool | None = None
    at: Place | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A control that the owner says is in place: an attestation until a check verifies it.

    `on` names the nodes it protects (None: the whole system); after `until` the claim counts for nothing.
    """

    control: str
    on: tuple[str, ...] | None = None
    by: str | None = None
    why: str | None = None
    evidence: str | None = None
    until: dt.date | None = None
    at: Place | None = None


class Appetite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much the owner tolerates. `tolerances` is keyed by area or check: a number is the tolerance, a table sets parameters by name;
    `fail_on` is the policy of `assess`."""

    confidence: float = 0.95
    tolerances: dict[str, float | dict[str, float | str]] = {}
    fail_on: str | None = None
    at: Place | None = None


class Action(StrEnum):
    """What was decided about a risk."""

    ACCEPT = "accept"
    TRANSFER = "transfer"
    AVOID = "avoid"


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A decision about one risk, bound to the digest of the exact risk state it was made on; void when that changes."""

    risk: str
    action: Action
    by: str
    why: str
    until: dt.date
    state: str
    at: Place | None = None


class System(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that one manifest declares. `catalogs` are files or folders with the owner's own threats and frameworks."""

    name: str
    purpose: str | None = None
    owner: str | None = None
    role: Role | None = None
    impact: Level | None = None
    high_risk: bool | None = None
    affects_persons: bool | None = None
    oversight: Oversight | None = None
    explanations: bool | None = None
    monitoring: tuple[Monitor, ...] | None = None
    logging: Logging | None = None
    logs_personal_data: bool | None = None
    incident_plan: str | None = None
    last_drill: dt.date | None = None
    rollback: bool | None = None
    reproducible: bool | None = None
    zones: tuple[Zone, ...] = ()
    actors: tuple[Actor, ...] = ()
    datasets: tuple[Dataset, ...] = ()
    assets: tuple[Asset, ...] = ()
    flows: tuple[Flow, ...] = ()
    controls: tuple[Claim, ...] = ()
    appetite: Appetite = Appetite()
    decisions: tuple[Decision, ...] = ()
    catalogs: tuple[str, ...] = ()
    at: Place | None = None

    @property
    def id(self) -> str:
        """The system stands in the graph of its own parts under the id `system`."""
        return SYSTEM_ID


SYSTEM_ID = "system"

Element: TypeAlias = System | Actor | Dataset | Asset
"""What a threat can be against."""


def kind_of(element: Element) -> Kind:
    """The kind under which a node stands in the catalogue's `against`."""
    if isinstance(element, Asset):
        return element.kind
    if isinstance(element, Dataset):
        return Kind.DATASET
    return Kind.ACTOR if isinstance(element, Actor) else Kind.SYSTEM


def elements_of(system: System) -> tuple[Element, ...]:
    """All nodes that threats can be against, the system itself first, then in the order of the manifest."""
    return (system, *system.actors, *system.datasets, *system.assets)


def element(system: System, id: str) -> Element | None:
    """The node with this id, or None."""
    return next((e for e in elements_of(system) if e.id == id), None)


def declaration(element: Element) -> dict[str, Any]:
    """What the manifest says of this node alone: its known fields as JSON types, without place or parts."""
    data: dict[str, Any] = msgspec.to_builtins(element)
    parts = {"at", "zones", "actors", "datasets", "assets", "flows", "controls", "appetite", "decisions", "catalogs"}
    return {k: v for k, v in data.items() if v is not None and k not in parts}
