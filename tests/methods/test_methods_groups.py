"""Groups of people by their names: quarters tell where they part and nobody's own value."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bartizan.methods.groups import MISSING, group_values


def test_quarters_are_named_by_where_they_part() -> None:
    ages = pd.Series([*range(19, 99), None], name="age", dtype=float)
    groups = group_values(ages)
    assert groups.nunique() == 5
    assert groups.iloc[-1] == MISSING
    assert [groups.iloc[0], groups.iloc[30], groups.iloc[79]] == ["up to 38.75", "38.75 to 58.5", "above 78.25"]
    named = {name for name in groups.unique() if name != MISSING}
    assert not any("19" in name or "98" in name for name in named), "the youngest and the oldest are nobody's business"
    sizes = groups[groups != MISSING].value_counts()
    assert sizes.min() == sizes.max() == 20


def test_few_values_and_words_stay_as_they_are_and_one_value_is_one_group() -> None:
    assert group_values(pd.Series([1, 2, 2, 3])).tolist() == ["1", "2", "2", "3"]
    assert group_values(pd.Series(["a", None, "b"])).tolist() == ["a", MISSING, "b"]
    mostly_one = pd.Series(np.r_[np.zeros(1000), np.arange(1, 12)])
    assert group_values(mostly_one).nunique() <= 4
