"""Groups of people in a table: which columns divide them, who belongs to which group, and which label is the favourable one."""

from __future__ import annotations

import itertools

import pandas as pd

from bartizan.model.errors import InputError

MOST_GROUPS = 30
"""Most values of a column that are taken for groups; numbers with more are cut into four quarters."""

MISSING = "(missing)"
"""The group of rows that have no value."""

_DIVIDING = ("sex", "gender", "age", "race", "ethnic", "national", "religio", "disab", "citizen", "foreign", "marital", "language")
_NAMING = {
    "name", "names", "surname", "surnames", "firstname", "lastname", "forename", "fullname", "nickname", "username", "email",
    "emails", "mail", "phone", "telephone", "phonenumber", "mobile", "fax", "address", "addresses", "street", "birth", "birthday",
    "birthdate", "birthplace", "born", "dob", "ssn", "iban", "bic", "passport", "zip", "zipcode", "postcode", "postal", "person",
    "personal", "ip", "photo", "signature", "licence", "license", "plate",
}  # fmt: skip


def candidates(frame: pd.DataFrame, label: str | None) -> tuple[str, ...]:
    """Columns whose names say that they divide people: sex, gender, age, race, nationality, religion, disability and the like."""
    return tuple(name for name in _names(frame, label) if _divides(name))


def personal_names(frame: pd.DataFrame, label: str | None) -> tuple[str, ...]:
    """Columns whose names say that they identify or divide people: those of `candidates`, names, addresses, numbers of documents.

    What stands in the columns is not looked at.
    """
    return tuple(name for name in _names(frame, label) if _divides(name) or _NAMING & set(_parts(name)))


def _names(frame: pd.DataFrame, label: str | None) -> list[str]:
    return [str(name) for name in frame.columns if name != label]


def _divides(name: str) -> bool:
    return any(part == word or (len(word) > 3 and part.startswith(word)) for part in _parts(name) for word in _DIVIDING)


def _parts(name: str) -> list[str]:
    return "".join(letter if letter.isalpha() else " " for letter in name.casefold()).split()


def group_values(column: pd.Series) -> pd.Series:
    """The group of each row as text; numbers with more than ten values are cut into quarters, no value is the group `MISSING`.

    Quarters are named by where they part, so that no name tells the least or the greatest value, which may be one person's.

    Raises `InputError` where there are more than `MOST_GROUPS`.
    """
    known = column.dropna()
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column) and known.nunique() > 10:
        column = _quarters(column)
    values = column.astype(object).map(str).where(column.notna(), MISSING)
    if values.nunique() > MOST_GROUPS:
        raise InputError(f"'{column.name}' has {values.nunique()} values", cure="name a column with few groups")
    return values


def _quarters(column: pd.Series) -> pd.Series:
    """The quarters of a column of numbers by name: `up to 26`, `26 to 33`, `above 42`."""
    codes, edges = pd.qcut(column, 4, labels=False, retbins=True, duplicates="drop")
    inner = [f"{edge:.6g}" for edge in edges[1:-1]]
    if not inner:
        return codes.astype(object).where(codes.isna(), "all")
    names = [f"up to {inner[0]}", *(f"{low} to {high}" for low, high in itertools.pairwise(inner)), f"above {inner[-1]}"]
    return codes.map(lambda code: names[int(code)], na_action="ignore")


def favourable_labels(labels: pd.Series, favourable: str | None) -> pd.Series | None:
    """1.0 where the label is the favourable one, 0.0 where not, missing where it is; None for other than two classes.

    favourable: the label that counts as favourable; None takes the greater of two. Raises `InputError` where no label is that.
    """
    known = labels.dropna()
    if favourable is None:
        values = sorted(known.unique(), key=str)
        if len(values) != 2:
            return None
        return (labels == values[1]).astype(float).where(labels.notna())
    if favourable not in set(known.map(str)):
        raise InputError(f"no label is '{favourable}'", cure="name one of the labels")
    return (labels.map(str) == favourable).astype(float).where(labels.notna())
