"""The manifest of the support assistant: its threats, what its store alone brings, and a README that names them."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bartizan import catalog, manifest
from bartizan.model.system import Kind
from bartizan.threatmodel import threats_of

EXAMPLE = Path(__file__).parents[2] / "examples" / "support-assistant"
DECLARED = yaml.safe_load((EXAMPLE / "bartizan.yaml").read_text(encoding="utf-8"))
CATALOG = catalog.load()


def fired(declared: dict[str, Any]) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """The certain and the possible threats, as pairs of threat and element."""
    model = threats_of(manifest.parse(yaml.safe_dump(declared), "bartizan.yaml"), CATALOG)
    return {(i.threat, i.element) for i in model.certain}, {(i.threat, i.element) for i in model.possible}


def without(declared: dict[str, Any], store: str, *, empty: bool) -> dict[str, Any]:
    """The manifest without one store, without its flows, and without its name in `retrieves_from` (left empty, or left out)."""
    rest = copy.deepcopy(declared)
    rest["assets"] = [asset for asset in rest["assets"] if asset["id"] != store]
    rest["flows"] = [flow for flow in rest["flows"] if store not in (flow["from"], flow["to"])]
    for asset in rest["assets"]:
        if store in asset.get("retrieves_from", ()):
            asset["retrieves_from"].remove(store)
            if not asset["retrieves_from"] and not empty:
                del asset["retrieves_from"]
    return rest


@pytest.mark.parametrize("empty", [True, False])
def test_without_its_store_exactly_the_retrieval_threats_are_gone(empty: bool) -> None:
    certain, possible = fired(DECLARED)
    certain_rest, possible_rest = fired(without(DECLARED, "passages", empty=empty))
    family = {id for id, threat in CATALOG.threats.items() if threat.family == "retrieval"}
    assert family
    assert certain - certain_rest == {(id, "passages") for id in family}
    assert certain_rest <= certain
    assert possible_rest == possible


def test_the_manifest_names_files_that_are_there_and_the_limit_of_the_loop() -> None:
    system = manifest.load(EXAMPLE / "bartizan.yaml")
    assets = {asset.id: asset for asset in system.assets}
    files = [a.code for a in system.assets if a.code] + [a.uri for a in system.assets if a.uri]
    assert all((EXAMPLE / file).exists() for file in files)
    assert {a.kind for a in system.assets} == {
        Kind.ENDPOINT, Kind.LLM_APP, Kind.AGENT, Kind.MODEL, Kind.TOOL, Kind.STORE, Kind.SERVICE, Kind.DEPENDENCIES,
    }  # fmt: skip
    quota = assets["resolver"].quota
    assert quota is not None
    assert quota.max_steps == 6


def test_the_readme_names_the_threat_of_each_weakness() -> None:
    rows = [line for line in (EXAMPLE / "README.md").read_text(encoding="utf-8").splitlines() if line.count("|") == 4]
    named = {id for row in rows for id in re.findall(r"`([a-z-]+)`", row.rsplit("|", 2)[1])}
    certain, possible = fired(DECLARED)
    assert named <= set(CATALOG.threats)
    not_weaknesses = {"jailbreak", "misinformation"}  # of every language model, not of this code
    assert named <= {threat for threat, _ in certain | possible}
    assert {threat for threat, _ in certain} - not_weaknesses <= named
