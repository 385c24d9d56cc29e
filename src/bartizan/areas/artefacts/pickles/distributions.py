"""The text that distributions of scipy run as code when their state is put in, and which such texts scipy itself writes.

`rv_generic.__setstate__` executes the attribute `_parse_arg_template`, three functions that sort arguments out. scipy makes the text from
the names of the shape parameters and one of two ends (`_construct_argparser` in `scipy/stats/_distn_infrastructure.py`, the same from
scipy 1.11 to 1.17). A text is taken for one of these when it is, character by character, what its own names of parameters yield.
"""

from __future__ import annotations

import keyword
import re

_FIRST = re.compile(r"\ndef _parse_args\(self, ((?:[A-Za-z_][A-Za-z0-9_]*, )*) (loc=0, scale=1|loc=0)\):\n")
_OUT = {"loc=0, scale=1": "loc, scale", "loc=0": "loc, 1"}
"""What follows the shape parameters in a signature, and what the functions give back for it."""


def is_argument_parser(text: str) -> bool:
    """Is `text` what scipy writes for some names of shape parameters?"""
    match = _FIRST.match(text)
    if match is None:
        return False
    shapes, scale = match.groups()
    names = shapes.split(", ")[:-1]
    if len(set(names)) < len(names) or any(name == "self" or keyword.iskeyword(name) for name in names):
        return False
    return text == _written(shapes, scale, _OUT[scale])


def _written(shapes: str, scale: str, out: str) -> str:
    """What scipy writes: the three functions one behind the other, each a head and one line."""
    functions = [
        ("_parse_args", "", f"return ({shapes}), {out}"),
        ("_parse_args_rvs", ", size=None", f"return self._argcheck_rvs({shapes} {out}, size=size)"),
        ("_parse_args_stats", ", moments='mv'", f"return ({shapes}), {out}, moments"),
    ]
    return "".join(f"\ndef {name}(self, {shapes} {scale}{more}):\n    {body}\n" for name, more, body in functions)
