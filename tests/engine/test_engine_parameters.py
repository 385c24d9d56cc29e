"""How tolerances of the manifest become parameters of checks."""

import pytest
from engine_samples import make

from bartizan import manifest
from bartizan.engine import registry
from bartizan.engine.parameters import parameters_of, unused_tolerances
from bartizan.model.errors import InputError, Place, UnknownName
from bartizan.model.system import Appetite, Kind

CHECK = make("privacy.membership", ["membership"], {Kind.MODEL})
PLACE = Place("bartizan.yaml", 7)


def values(**tolerances: object) -> dict[str, object]:
    return parameters_of(CHECK, Appetite(tolerances={k.replace("__", "."): v for k, v in tolerances.items()}, at=PLACE))  # type: ignore[misc]


def test_defaults_stand_where_nothing_is_said() -> None:
    assert values(evasion=0.5) == {"tolerance": 0.1, "tpr_at_fpr_0_001": 0.01, "rounds": 3}


def test_the_more_specific_key_wins() -> None:
    assert values(privacy=0.2)["tolerance"] == 0.2
    assert values(privacy=0.2, membership=0.3)["tolerance"] == 0.3
    assert values(privacy__membership=0.4, membership=0.3, privacy=0.2)["tolerance"] == 0.4


def test_a_table_sets_parameters_by_name_with_dots_as_underscores() -> None:
    found = values(membership={"tpr_at_fpr_0.001": 0.005, "rounds": 8, "another_check's": 1})
    assert found == {"tolerance": 0.1, "tpr_at_fpr_0_001": 0.005, "rounds": 8}


def test_under_the_id_of_a_check_every_name_must_be_its_parameter() -> None:
    with pytest.raises(UnknownName, match=r"bartizan.yaml:7: unknown parameter of privacy.membership 'round'; did you mean 'rounds'"):
        values(privacy__membership={"round": 1})


def test_a_value_of_the_wrong_type_is_refused_with_its_line() -> None:
    with pytest.raises(InputError, match=r"bartizan.yaml:7: parameter 'rounds' of privacy.membership must be of type integer, not 1.5"):
        values(membership={"rounds": 1.5})


def test_keys_that_no_check_answers_to_are_named() -> None:
    appetite = Appetite(tolerances={"privacy": 1.0, "membership": 1.0, "membrship": 1.0, "privacy.membership": 1.0})
    assert unused_tolerances(appetite, [CHECK]) == ("membrship",)


def test_a_parameter_that_is_text_is_set_by_text_and_a_number_is_not() -> None:
    check = registry.get("evasion.tabular_manipulation")
    head = "bartizan: 1\nsystem: {name: x}\nappetite: {tolerances: {evasion.tabular_manipulation: "
    told = parameters_of(check, manifest.parse(head + '{immutable: "age, sex", k: 3}}}\n', "m.yaml").appetite)
    assert (told["immutable"], told["k"]) == ("age, sex", 3)
    with pytest.raises(InputError, match=r"^m\.yaml:3: parameter 'k' of evasion\.tabular_manipulation must be of type integer"):
        parameters_of(check, manifest.parse(head + "{k: three}}}\n", "m.yaml").appetite)
