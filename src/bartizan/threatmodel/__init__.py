"""Threats derived from a declared system: its graph, the three-valued evaluation of predicates, the explanation and the ranking."""

from bartizan.threatmodel.derivation import threats_of

__all__ = ["threats_of"]
