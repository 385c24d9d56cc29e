"""YAML documents with the line of every key: read bounded and inert, then turned into the structs of the model.

Nothing in a document is ever executed or constructed: PyYAML only parses it into nodes, and the nodes are read here by the rules of YAML
1.2 (so `no` is a word, not false). Every refusal is one line: `file:line: what is wrong; what to do`.
"""

from bartizan.documents.located import Located, parse, read
from bartizan.documents.nodes import uncollected
from bartizan.documents.typed import convert

__all__ = ["Located", "convert", "parse", "read", "uncollected"]
