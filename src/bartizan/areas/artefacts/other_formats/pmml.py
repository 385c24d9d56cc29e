"""PMML and other models in XML: parsed as a stream, with document types and entities refused, which make XML readers fetch and swell."""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope

MAX_BYTES = 512 * MIB
MAX_DEPTH = 2_000
CHUNK = MIB


class _Refused(Exception):
    """Something in the text that is not read."""


def read_xml(piece: Piece, scope: Scope) -> bool:
    """Judge an XML text."""
    state = _State()
    parser = expat.ParserCreate()
    parser.StartElementHandler = state.start
    parser.EndElementHandler = state.end
    parser.StartDoctypeDeclHandler = state.doctype
    parser.EntityDeclHandler = state.entity
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        if len(piece.data) > MAX_BYTES:
            raise _Refused("is longer than is read here")
        for at in range(0, len(piece.data), CHUNK):
            scope.check_time()
            parser.Parse(bytes(piece.data[at : at + CHUNK]), at + CHUNK >= len(piece.data))
    except expat.ExpatError as error:
        scope.recognise(state.format)
        scope.unsure(f"the XML text is damaged ({error})", piece, parser.CurrentByteIndex)
        return True
    except _Refused as error:
        scope.recognise(state.format)
        if state.entities:
            scope.unsafe(f"the XML text {error}", piece, parser.CurrentByteIndex)
        else:
            scope.unsure(f"the XML text {error}", piece, parser.CurrentByteIndex)
        return True
    scope.recognise(state.format)
    return True


class _State:
    def __init__(self) -> None:
        self.depth = 0
        self.format = "XML"
        self.entities = False

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and name.rpartition(":")[2] == "PMML":
            self.format = "PMML"
        if self.depth > MAX_DEPTH:
            raise _Refused("is nested too deep")

    def end(self, _name: str) -> None:
        self.depth -= 1

    def doctype(self, _name: str, system: str | None, _public: str | None, internal: int) -> None:
        if system is not None or internal:
            self.entities = True
            raise _Refused(
                f"has a document type of its own{f' at {system[:80]}' if system else ''}, by which readers fetch files and swell"
            )

    def entity(self, *_declared: Any) -> None:
        self.entities = True
        raise _Refused("declares entities")
