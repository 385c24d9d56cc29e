"""A drafted manifest states what files prove, asks for the rest, always loads, and never runs or follows anything."""

import json
import os
import pickle
import random
from pathlib import Path

import msgspec
import pytest

from bartizan import manifest
from bartizan.model.errors import InputError
from bartizan.model.system import Asset, Dataset, Format, Holds, Kind, Stage, System, Task
from bartizan.workflows.draft import draft

FILES = {
    "data/loans_train.csv": "age,income,default\n41,2000,0\n",
    "data/holdout.parquet": "PAR1",
    "data/loans.csv": "41,2000,0\n",
    "requirements.txt": "scikit-learn\n",
    "pyproject.toml": "[project]\nname='x'\ndependencies = ['numpy']\n",
    "Dockerfile": "FROM python\n",
    "deploy/k8s/api.yaml": "---\napiVersion: apps/v1\nkind: Deployment\n",
    "deploy/k8s/net.yml": "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n",
    "deploy/values.yaml": "replicas: 3\nkind: small\n",
    "docs/openapi.yaml": "openapi: 3.1.0\ninfo:\n  title: Scoring API\ncomponents:\n  securitySchemes: {}\n",
    "api/app.py": (
        "from fastapi import FastAPI\nimport joblib\n\napp = FastAPI(title='Scores: v1')\nmodel = joblib.load('models/scorer.pkl')\n"
    ),
    "train.py": (
        "import pickle\nfrom sklearn.linear_model import LogisticRegression\nrows = open('data/loans_train.csv')\n"
        "model = LogisticRegression().fit(rows, rows)\npickle.dump(model, open('models/scorer.pkl', 'wb'))\n"
    ),
    "bot/loop.py": (
        "import chromadb\nfrom openai import OpenAI\nMODEL = 'gpt-4o-mini'\nclient = OpenAI()\nstore = chromadb.Client()\n"
        "client.chat.completions.create(model=MODEL, messages=[], tools=[])\nclient.embeddings.create(model='text-embedding-3-small')\n"
    ),
    "local/gen.py": (
        "from transformers import pipeline\npipeline('text-generation', model='org/llama', revision='abc123', trust_remote_code=True)\n"
    ),
    "mlruns/0/run/artifacts/credit/MLmodel": "flavors:\n  python_function: {}\n  sklearn: {}\n",
    "mlruns/0/run/artifacts/credit/model.pkl": "x",
    "test_app.py": "import anthropic\n",
    "venv/pyvenv.cfg": "",
    "venv/lib/evil.pkl": "x",
    ".git/objects/x.pkl": "x",
    "node_modules/m/model.onnx": "x",
    "broken.py": "def (:\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "Credit Score" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    root = tmp_path / "Credit Score"
    (root / "models").mkdir()
    (root / "models" / "scorer.pkl").write_bytes(pickle.dumps({"weights": [1.0]}))
    (root / "models" / "harmless.safetensors").write_bytes(pickle.dumps([1]))
    cells = [
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import xgboost\n", "xgboost.train({}, 1)"]},
        {"cell_type": "markdown", "source": []},
    ]
    (root / "explore.ipynb").write_text(json.dumps({"cells": cells}))
    return root


def read(text: str) -> System:
    return manifest.parse(text, "bartizan.yaml")


def one(system: System, **facts: object) -> Asset | Dataset:
    found = [n for n in (*system.assets, *system.datasets) if all(getattr(n, k, None) == v for k, v in facts.items())]
    assert len(found) == 1, facts
    return found[0]


def test_what_files_prove_is_stated(folder: Path) -> None:
    system = read(draft(folder))
    assert system.name == "Credit Score"
    assert one(system, uri="models/scorer.pkl", kind=Kind.MODEL, format=Format.PICKLE)
    assert one(system, uri="models/harmless.safetensors", kind=Kind.MODEL, format=Format.PICKLE)
    assert one(system, uri="data/loans_train.csv", stage=Stage.TRAIN)
    assert one(system, uri="data/holdout.parquet", stage=Stage.TEST)
    assert one(system, uri="requirements.txt", kind=Kind.DEPENDENCIES)
    assert one(system, uri="pyproject.toml", kind=Kind.DEPENDENCIES)
    assert one(system, uri="Dockerfile", kind=Kind.CONTAINER)
    assert one(system, uri="deploy/k8s", kind=Kind.CLUSTER)
    assert one(system, uri="docs/openapi.yaml", kind=Kind.ENDPOINT, title="Scoring API")
    assert one(system, code="api/app.py", kind=Kind.ENDPOINT, title="Scores: v1")
    assert one(system, code="train.py", kind=Kind.PIPELINE)
    assert one(system, code="explore.ipynb", kind=Kind.PIPELINE)
    assert one(system, uri="mlruns", kind=Kind.REGISTRY)
    assert one(system, uri="mlruns/0/run/artifacts/credit", kind=Kind.MODEL)
    assert one(system, uri="hf:org/llama", revision="abc123", task=Task.TEXT_GENERATION)
    assert one(system, title="gpt-4o-mini", source="OpenAI", third_party=True, task=Task.TEXT_GENERATION)
    assert one(system, title="text-embedding-3-small", task=Task.EMBEDDING)
    assert one(system, kind=Kind.STORE, holds=(Holds.EMBEDDINGS,))
    agent = one(system, code="bot/loop.py", kind=Kind.AGENT)
    assert isinstance(agent, Asset)
    assert agent.uses == ("gpt-4o-mini", "text-embedding-3-small")
    assert agent.retrieves_from == ("chroma",)
    generator = one(system, code="local/gen.py", kind=Kind.LLM_APP)
    assert isinstance(generator, Asset)
    assert generator.uses == ("llama",)
    assert len(system.assets) == 18


def test_what_no_file_proves_is_asked(folder: Path) -> None:
    text = draft(folder)
    system = read(text)
    assert all(asset.authn is None and asset.zone is None and asset.serves is None and asset.trained_on is None for asset in system.assets)
    assert system.zones == system.flows == system.actors == ()
    assert "# authn: ?  How do callers prove who they are? (none, api-key, basic" in text
    assert "# serves: ?  Which assets does it serve?  The source mentions: scorer" in text
    assert "# trained_on: ?  Which data sets was it trained on?  train.py mentions it with: loans-train" in text
    assert "# label: ?  Which column is to be predicted?  Columns: age, income, default" in text
    assert "  #   stage: ?  What is it used for? (train, validation" in text  # data/loans.csv: its name tells no stage
    assert "the name says safetensors, the first bytes say pickle" in text
    assert "bot/loop.py:1 uses chromadb, openai, tools for the model" in text
    assert "with trust_remote_code" in text


def test_every_question_names_a_field_and_its_answer_loads(folder: Path) -> None:
    fields = {f.name for struct in (System, Asset, Dataset) for f in msgspec.structs.fields(struct)}
    for line in draft(folder).splitlines():
        words = line.replace("#", " ").split(maxsplit=2)
        if len(words) > 1 and words[1] == "?":
            assert words[0].removesuffix(":") in fields
    answered = draft(folder).replace("    # authn: ?  How", "    authn: api-key  # How")
    assert one(read(answered), code="api/app.py", authn="api-key")


def test_the_same_folder_gives_the_same_text(folder: Path) -> None:
    assert draft(folder) == draft(folder)
    assert str(folder) not in draft(folder)


def test_nothing_is_run_and_no_link_is_followed(folder: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    (folder / "models" / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    (folder / "setup.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'exploded')!r})\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.onnx").write_text("x")
    (folder / "linked").symlink_to(outside)
    (folder / "linked.onnx").symlink_to(outside / "secret.onnx")
    (folder / "loop").symlink_to(folder)
    text = draft(folder)
    assert "bomb.pkl" in text
    assert "linked" not in text
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "name",
    [
        "~x.onnx",
        "true.onnx",
        "null.onnx",
        "a: b.onnx",
        "# c.onnx",
        "día 😀.onnx",
        "'\".onnx",
        "system.onnx",
        "-.onnx",
        "x:y.onnx",
        "C:\\m.onnx",
    ],
)
def test_awkward_names_load(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    text = draft(tmp_path, name="no")
    system = read(text)
    assert system.name == "no"
    assert [asset.uri for asset in system.assets] == [name] or "Left out" in text


def test_names_that_are_not_text_are_counted(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/\xff.onnx", "w") as file:
        file.write("x")
    (tmp_path / "line\nbreak.onnx").write_text("x")
    text = draft(tmp_path)
    assert "Left out: 2 files whose names are not printable text." in text
    assert read(text).assets == ()


def test_an_empty_folder_and_none_at_all(tmp_path: Path) -> None:
    system = read(draft(tmp_path, name="  "))
    assert (system.name, system.assets, system.datasets) == ("unnamed", (), ())
    with pytest.raises(InputError, match="no such folder"):
        draft(tmp_path / "none")


def test_many_files_become_one_data_set_and_shards_one_model(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / "train_images").mkdir(exist_ok=True)
        (tmp_path / "train_images" / f"{i}.csv").write_text("a,b\n")
    (tmp_path / "llm").mkdir()
    for i in (1, 2, 3):
        (tmp_path / "llm" / f"model-0000{i}-of-00003.safetensors").write_bytes(b"\x02" + b"\0" * 7 + b"{}")
    system = read(draft(tmp_path))
    assert [(d.uri, d.stage) for d in system.datasets] == [("train_images", Stage.TRAIN)]
    assert [(a.uri, a.format) for a in system.assets] == [("llm", Format.SAFETENSORS)]


def test_hostile_content_never_breaks_the_draft(folder: Path) -> None:
    rng = random.Random(3)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hostile = [
        b"",
        b"\0" * 50,
        b"(" * 100_000,
        b"x = " + b"-" * 200_000 + b"1",
        b"\xff\xfe",
        b"{" * 5000,
        b"PK\x03\x04" + b"\xff" * 60,
        b"a: &a [*a]",
    ]
    for path in files:
        path.write_bytes(rng.choice(hostile))
    read(draft(folder))
    for _ in range(15):
        for path, text in ((folder / name, text) for name, text in FILES.items()):
            data = bytearray(text.encode() or b"x")
            for _ in range(rng.randint(0, 3)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            path.write_bytes(bytes(data))
        read(draft(folder))
