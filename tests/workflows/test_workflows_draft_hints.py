"""A draft tells arrays, tools, documents and served applications from files that prove them, and hints at the rest in its questions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy
import pytest

from bartizan import manifest
from bartizan.model.system import Asset, Format, Kind, Stage, System
from bartizan.workflows.draft import draft

LOOP = "from openai import OpenAI\nOpenAI().chat.completions.create(model='gpt-4o', messages=[], tools=TOOLS)\n"
SCHEMA = {"type": "function", "function": {"name": "find_order", "parameters": {}}}


def drafted(folder: Path, files: dict[str, str]) -> tuple[str, System]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    text = draft(folder, name="x")
    return text, manifest.parse(text, "bartizan.yaml")


def of_kind(system: System, kind: Kind) -> list[Asset]:
    return [asset for asset in system.assets if asset.kind is kind]


def line_of(text: str, *parts: str) -> str:
    found = [line for line in text.splitlines() if all(part in line for part in parts)]
    assert len(found) == 1, (parts, found)
    return found[0]


def test_arrays_are_data_unless_a_word_hints_at_a_model(tmp_path: Path) -> None:
    for name in ("test.npz", "train_x.npy", "digits.npz", "weights.npz", "models/scorer.npy", "models/scorer_train.npz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with open(tmp_path / name, "wb") as stream:
            (numpy.savez if name.endswith("z") else numpy.save)(stream, numpy.zeros((2, 2)))
    (tmp_path / "odd.npy").write_bytes(b"\x80\x04\x95\x05\0\0\0\0\0\0\0]\x94.")
    text, system = drafted(tmp_path, {})
    stages = {data.uri: data.stage for data in system.datasets}
    assert stages == {"test.npz": Stage.TEST, "train_x.npy": Stage.TRAIN, "models/scorer_train.npz": Stage.TRAIN}
    assert "  #   uri: digits.npz" in text  # a data set whose name tells no stage: asked as a whole
    models = {asset.uri: asset.format for asset in system.assets}
    assert models == {"weights.npz": Format.NUMPY, "models/scorer.npy": Format.NUMPY, "odd.npy": Format.PICKLE}


def test_learning_on_is_hinted_at_the_model_that_the_source_mentions(tmp_path: Path) -> None:
    source = "import joblib\nmodel = joblib.load('spam.joblib')\nmodel.partial_fit([[1]], [1])\n"
    text, system = drafted(tmp_path, {"serve.py": source, "spam.joblib": "x", "other.joblib": "x"})
    assert all(model.online_learning is None for model in system.assets)
    assert "serve.py:3 calls partial_fit." in line_of(text, "# online_learning: ?", "serve.py")
    before = text[: text.index("serve.py:3")]
    assert before.rindex("id: spam") > before.find("id: other")


def test_learning_on_is_hinted_everywhere_where_no_model_is_mentioned(tmp_path: Path) -> None:
    source = "def on(model, row):\n    model.learn_one(row, 1)\n"
    text, _ = drafted(tmp_path, {"stream.py": source, "a.onnx": "x", "b.onnx": "x", "bot.py": LOOP})
    assert text.count("stream.py:2 calls learn_one.") == 2
    assert text.count("# online_learning: ?") == 2  # not asked of somebody else's model


@pytest.mark.parametrize("key", ["mcpServers", "servers"])
def test_servers_of_an_mcp_configuration_are_tools_without_their_secrets(tmp_path: Path, key: str) -> None:
    servers = {
        "files": {"command": "npx", "args": ["--token", "hunter2"], "env": {"KEY": "hunter2"}},
        "tickets": {"url": "https://mcp.example.com/hunter2"},
    }
    text, system = drafted(tmp_path, {"mcp.json": json.dumps({key: servers}), ".mcp.json": "[]", "bot/loop.py": LOOP})
    tools = of_kind(system, Kind.TOOL)
    assert [(tool.id, tool.uri) for tool in tools] == [("files", "mcp.json"), ("tickets", "mcp.json")]
    assert "hunter2" not in text
    assert "mcp.json names it as an MCP server at an address" in text
    (agent,) = of_kind(system, Kind.AGENT)
    assert agent.tools is None  # no file proves who calls them
    assert "MCP servers are configured: files, tickets." in line_of(text, "# tools: ?")
    assert "# effects: ?  What can a call of it do? (" in text


@pytest.mark.parametrize(
    ("source", "names"),
    [
        (f"TOOLS = [{SCHEMA!r}]\n" + LOOP, ["find_order"]),
        ("TOOLS = [{'type': 'function', 'name': 'pay', 'parameters': {}}]\n" + LOOP, ["pay"]),
        ("TOOLS = [{'name': 'refund', 'input_schema': {}}]\n" + LOOP, ["refund"]),
        ("TOOLS = [{'name': 'Ann', 'type': 'person'}, {'type': 'function', 'name': 'x'}]\n" + LOOP, []),
        ("from agents import Agent, function_tool\n@function_tool\ndef search(q): ...\nAgent(name='a')\n", ["search"]),
        ("from langchain.tools import tool\n@tool('look-up')\nasync def f(q): ...\ncreate_agent(m, [f])\n", ["look-up"]),
        ("from langchain.tools import BaseTool\nclass T(BaseTool):\n    name: str = 'shell'\ncreate_agent(m, [T()])\n", ["shell"]),
        ("from crewai import Agent\ndef add(a): ...\nAgent(tools=[add, unknown])\n", ["add"]),
        ("from smolagents import Tool\nTool(name='mail', func=print)\n", ["mail"]),
        ("from crewai import Agent\ndef tool(f): ...\nclass Toolbox: ...\nAgent()\n", []),
    ],
)
def test_tools_that_the_agents_own_source_registers_are_its_tools(tmp_path: Path, source: str, names: list[str]) -> None:
    _, system = drafted(tmp_path, {"bot/loop.py": source})
    tools = of_kind(system, Kind.TOOL)
    assert [tool.title for tool in tools] == names
    assert all(tool.code == "bot/loop.py" for tool in tools)
    (agent,) = of_kind(system, Kind.AGENT)
    assert agent.tools == (tuple(tool.id for tool in tools) or None)


def test_tools_of_another_source_are_named_in_the_question(tmp_path: Path) -> None:
    server = "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('s')\n@mcp.tool()\ndef read_file(path): ...\n"
    text, system = drafted(tmp_path, {"bot/loop.py": LOOP, "bot/server.py": server, "else.py": "@tool\ndef no(): ...\n"})
    assert [(tool.title, tool.code) for tool in of_kind(system, Kind.TOOL)] == [("read_file", "bot/server.py")]
    assert of_kind(system, Kind.AGENT)[0].tools is None
    assert "bot/server.py registers: read_file." in line_of(text, "# tools: ?")
    text, system = drafted(tmp_path, {"bot/loop.py": f"TOOLS = [{SCHEMA!r}]\n" + LOOP})
    assert of_kind(system, Kind.AGENT)[0].tools == ("find-order",)
    assert "# it may have more tools: bot/server.py registers: read_file." in text


def test_programs_started_near_an_agent_are_hinted(tmp_path: Path) -> None:
    shell = "import subprocess as sp\nfrom os import system\ndef go(c):\n    sp.run(c, shell=True)\n    exec(c)\n    system(c)\n"
    harmless = "import subprocess\nsubprocess.run(['ls'])\n"
    text, system = drafted(tmp_path, {"bot/loop.py": LOOP, "bot/tools/sh.py": shell, "ops/deploy.py": harmless, "m.py": "model.eval()\n"})
    assert of_kind(system, Kind.AGENT)[0].executes_code is None
    asked = line_of(text, "# executes_code: ?")
    assert asked.endswith("bot/tools/sh.py:4 calls exec, os.system, subprocess.run with shell=True.")


def test_documents_that_a_source_with_a_vector_store_names_are_rag_data(tmp_path: Path) -> None:
    source = "import chromadb\nfor path in glob.glob('knowledge/**/*.md'): ...\n"
    files = {"app.py": source, "knowledge/a.md": "a", "knowledge/deep/b.txt": "b", "README.md": "r", "requirements.txt": ""}
    text, system = drafted(tmp_path, files | {f"guide/{i}.md": "g" for i in range(3)} | {"few/1.md": "f", "app.json": "{}"})
    assert [(data.uri, data.stage) for data in system.datasets] == [("knowledge", Stage.RAG)]
    assert "app.py reads its files and uses chromadb" in text
    assert "It lies near app.py, which uses chromadb: rag if that reads it." in line_of(text, "stage: ?", "app.py")
    assert "  #   uri: guide" in text
    assert "uri: few" not in text


@pytest.mark.parametrize(
    ("use", "stated"),
    [
        ("SimpleDirectoryReader('docs')", True),
        ("DirectoryLoader(path='./docs/', glob='**/*.md')", True),
        ("HERE = Path(__file__).parent\nDOCS = HERE / 'docs'\nfor a in sorted(DOCS.glob('*.md')): ...", True),
        ("DOCS = 'bot/docs/'\nfor a in Path(DOCS).rglob('*.md'): ...", True),
        ("os.walk(str(HERE / 'docs'))", True),
        ("glob.glob('docs/**/*.md')", True),
        ("chromadb.Client().create_collection('docs')", False),
        ("(HERE / 'docs' / '1.md').read_text()", False),
        ("open('docs/1.md')", False),
        ("HERE = HERE / HERE\nHERE.glob('*')", False),
    ],
)
def test_only_a_call_that_reads_a_folder_makes_it_a_folder_of_documents(tmp_path: Path, use: str, stated: bool) -> None:
    files = {"bot/app.py": f"import chromadb\n{use}\n", "bot/docs/1.md": "1", "bot/docs/2.md": "2", "bot/docs/3.txt": "3"}
    text, system = drafted(tmp_path, files)
    assert [(data.uri, data.stage) for data in system.datasets] == ([("bot/docs", Stage.RAG)] if stated else [])
    assert "uri: bot/docs" in text


def test_documents_without_a_vector_store_are_no_data(tmp_path: Path) -> None:
    text, system = drafted(tmp_path, {f"docs/{i}.md": "g" for i in range(9)} | {"app.py": "import os\nos.listdir('docs')\n"})
    assert system.datasets == ()
    assert "uri: docs" not in text


def test_one_file_that_is_web_and_language_application_is_connected(tmp_path: Path) -> None:
    source = "from flask import Flask\napp = Flask(__name__)\nopen('spam.onnx')\n" + LOOP
    text, system = drafted(tmp_path, {"app.py": source, "spam.onnx": "x", "other/web.py": "import flask\nflask.Flask('y')\n"})
    (agent,) = of_kind(system, Kind.AGENT)
    served = {endpoint.id: endpoint.serves for endpoint in of_kind(system, Kind.ENDPOINT)}
    assert (agent.id, served) == ("app", {"app-api": ("app",), "web": None})
    assert "app.py is also the source of app" in text
    assert "# It may serve more: the source mentions spam\n" in text
    assert "from: customer, to: app-api" in text


def test_long_lists_of_words_stand_once(tmp_path: Path) -> None:
    text, _ = drafted(tmp_path, {f"m{i}.onnx": "x" for i in range(4)})
    assert text.count("reinforcement-learning") == 1
    assert text.index("# task is one of: tabular-classification") < text.index("assets:")
    assert text.count("# task: ?  What does it do? (tabular-classification, tabular-regression, image-classification, ... see above)") == 4
    (tmp_path / "one").mkdir()
    alone, _ = drafted(tmp_path / "one", {"m.onnx": "x"})
    assert "is one of" not in alone
    assert "reinforcement-learning, other)" in alone


def test_hostile_registrations_and_configurations_never_break_the_draft(tmp_path: Path) -> None:
    deep = "{'type': 'function', 'name': " * 60 + "1" + "}" * 60
    names = {f"a: #{i}\n": {} for i in range(60)} | {"": {}, "😀": 3}
    hostile = {
        "mcp.json": json.dumps({"mcpServers": names}),
        "a/mcp.json": "[" * 50_000,
        "b/mcp.json": '{"mcpServers": 3}',
        "c/mcp.json": "\0",
        "bot.py": f"import chromadb, crewai\nT = {deep}\nU = [{{**T, 'name': '\\x1b[1m: #', 'input_schema': 1}}]\nx[0](tools=[1])\n",
        "~d/a.md": "x",
        "a: b/1.md": "x",
        "a: b/2.md": "x",
        "a: b/3.md": "x",
    }
    text, system = drafted(tmp_path, hostile)
    assert "\x1b" not in text
    assert len(of_kind(system, Kind.TOOL)) >= 40
