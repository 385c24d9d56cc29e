"""Declared constraints and the way to ask an endpoint: what cannot be is one line with file and line."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from bartizan import documents, manifest
from bartizan.model.errors import InputError
from bartizan.model.inputs import Constraints, Inference, Price, WeightedSum

TEXT = """\
bartizan: 1
system: {name: s}
assets:
  - id: scorer
    kind: model
    constraints:
      immutable: age
      categorical: [purpose]
      allowed:
        rate: [1, 2.5, none]
      low: {amount: 100}
      high: {amount: 9000}
      at_least:
        - [income, rent]
      sums:
        - weights: {a: 1, b: 1}
          high: 1
      cost:
        amount: {up: 2}
        purpose: 3
      budget: 7
  - id: api
    kind: endpoint
    inference:
      rows_at: rows
      gives: score
      labels: {refuse: bad, grant: good}
"""


def test_what_is_declared_is_what_is_read() -> None:
    scorer, api = manifest.parse(TEXT, "b.yaml").assets
    told = scorer.constraints
    assert isinstance(told, Constraints)
    assert (told.immutable, told.allowed, told.low, told.budget) == (("age",), {"rate": (1.0, 2.5, "none")}, {"amount": 100.0}, 7.0)
    assert (told.at_least, told.cost["amount"], told.cost["purpose"]) == ((("income", "rent"),), Price(up=2.0), 3.0)
    assert isinstance(told.sums[0], WeightedSum)
    assert str(told.at) == "b.yaml:7"
    assert told.named() == ("age", "purpose", "rate", "amount", "income", "rent", "a", "b")
    assert isinstance(api.inference, Inference)
    assert api.inference.labels == {"refuse": "bad", "grant": "good"}
    Draft202012Validator(manifest.schema()).validate({**documents.parse(TEXT, "b").value})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("immutable: age", "imutable: age", "b.yaml:7: unknown key 'imutable' of constraints; did you mean 'immutable'?"),
        ("[income, rent]", "[income]", "b.yaml:14: 'at_least' needs pairs of different columns; write [[a, b]] for a >= b"),
        ("low: {amount: 100}", "low: {amount: 9001}", "b.yaml:11: 'amount' has a lowest value above its highest; swap them"),
        ("purpose: 3", "purpose: -3", "b.yaml:20: 'cost' of 'purpose' must be at least 0"),
        ("purpose: 3", "age: 3", "b.yaml:20: 'age' is immutable and stands in 'cost' too; keep one of them"),
        ("high: 1\n", "low: 2\n          high: 1\n", "b.yaml:16: a sum from 2 to 1 is empty; swap the bounds"),
        ("[1, 2.5, none]", "[]", "b.yaml:10: 'rate' has no allowed value"),
        ("budget: 7", "budget: -7", "b.yaml:21: 'budget' must be at least 0, not -7"),
        ("budget: 7", "one_hot: [[a]]", "b.yaml:21: 'one_hot' needs groups of different columns"),
        ("budget: 7", "only_up: [x]\n      only_down: [x]", "b.yaml:22: 'x' may neither rise nor fall; name it in immutable"),
        ("gives: score", "gives: skore", "b.yaml:26: unknown answer 'skore' of 'gives'; did you mean 'score'?"),
        ("grant: good", "grant: bad", "b.yaml:27: 'labels' maps two words to one class; keep one word a class"),
        ("rows_at: rows", "constant: {v: a}", "b.yaml:25: 'constant' needs an object to stand in; declare rows_at, the key of the rows"),
        ("kind: model", "kind: service", "b.yaml:6: 'constraints' does not fit the kind service of 'scorer'; it fits model"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(InputError) as caught:
        manifest.parse(TEXT.replace(old, new), "b.yaml")
    assert str(caught.value).startswith(message)
