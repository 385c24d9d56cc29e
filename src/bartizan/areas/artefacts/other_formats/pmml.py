"""PMML and other models in XML: parsed as a stream, with document types and entities refused, which make XML readers fetch and swell."""

from __future__ import annotations

from xml.parsers import expat

from bartizan.areas.artefacts.containers.scope import MIB, Piece, Scope
from bartizan.areas.artefacts.other_formats.recognition import file_name

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
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    try:
        if len(piece.data) > MAX_BYTES:
            raise _Refused("is longer than is read here")
        for at in range(0, len(piece.data), CHUNK):
            scope.check_time()
            parser.Parse(bytes(piece.data[at : at + CHUNK]), at + CHUNK >= len(piece.data))
    except expat.ExpatError as error:
        scope.recognise(state.format)
        if state.format == "PMML" or file_name(piece, scope).endswith(".pmml"):
            scope.unsure(f"the XML text is damaged ({error})", piece, parser.CurrentByteIndex)
        return True
    except _NoModel:
        scope.recognise(state.format)
        return True
    except _Refused as error:
        scope.recognise(state.format)
        if state.doctype_found:
            scope.unsafe(f"the XML text {error}", piece, parser.CurrentByteIndex)
        else:
            scope.unsure(f"the XML text {error}", piece, parser.CurrentByteIndex)
        return True
    scope.recognise(state.format)
    return True


class _NoModel(Exception):
    """A text of another kind, such as a page or a picture."""


class _State:
    def __init__(self) -> None:
        self.depth = 0
        self.format = "XML"
        self.doctype_found = ""

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1 and name.rpartition(":")[2] == "PMML":
            self.format = "PMML"
        if self.doctype_found:
            raise _Refused(self.doctype_found) if self.format == "PMML" else _NoModel
        if self.depth > MAX_DEPTH:
            raise _Refused("is nested too deep")

    def end(self, _name: str) -> None:
        self.depth -= 1

    def doctype(self, _name: str, system: str | None, _public: str | None, internal: int) -> None:
        if system is not None or internal:
            where = f" at {system[:80]}" if system else ""
            self.doctype_found = f"has a document type of its own{where}, by which readers fetch files and swell"
