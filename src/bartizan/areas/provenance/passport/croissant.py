"""The passport as Croissant 1.0 (JSON-LD of MLCommons) with the fields of its vocabulary for responsible AI, for catalogues of data sets.

Files become `cr:FileObject` with size and SHA-256, of more than 200 a `cr:FileSet` for each kind; the columns of a table become fields of a
`cr:RecordSet`, a text one record with its content, pictures records with their file and the folder they lie in. Places are relative to the
data: the document belongs into the folder of the data, or beside a single file. What nobody said is left out, but for what the passport
knows: a plain description, what its checks found about personal data, groups and quality, and what the data was made from.

Columns whose type Croissant has no name for (structs, lists of lists, durations) are left out of the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from bartizan.areas.provenance.passport.statement import Answer, FileRecord, Held, Passport, Profile
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.model.errors import UnknownName

_OWN = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format", "includes"),
    *("isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
    *("samplingRate", "separator", "source", "subField", "transform"),
)

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _OWN},
}
"""The names that Croissant 1.0 documents use."""

MANY = 200
"""Files beyond which the folder is described as sets of files, not file by file."""

SAID = 5
"""Most answers of checks that one field for responsible AI repeats."""

_MEDIA = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "jsonl": "application/jsonlines",
    "parquet": "application/x-parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "text": "text/plain",
}
_PACKED = {"gzip": "application/gzip", "bz2": "application/x-bzip2", "zstd": "application/zstd"}
_PICTURES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg"}
_TYPES = (
    ("int", "sc:Integer"),
    ("uint", "sc:Integer"),
    ("float", "sc:Float"),
    ("decimal", "sc:Float"),
    ("bool", "sc:Boolean"),
    ("date", "sc:Date"),
    ("timestamp", "sc:DateTime"),
    ("time", "sc:Time"),
    ("string", "sc:Text"),
    ("binary", "sc:Text"),
    ("null", "sc:Text"),
)

PLAIN = (
    *("name", "description", "license", "url", "creator", "publisher", "citeAs", "version", "datePublished", "keywords"),
    *("inLanguage", "sameAs"),
)
"""Facts of schema.org that a caller may give."""

RAI = (
    *("dataCollection", "dataCollectionType", "dataCollectionMissingData", "dataCollectionRawData", "dataCollectionTimeframe"),
    *("dataImputationProtocol", "dataPreprocessingProtocol", "dataManipulationProtocol", "dataAnnotationProtocol"),
    *("dataAnnotationPlatform", "dataAnnotationAnalysis", "annotationsPerItem", "annotatorDemographics", "machineAnnotationTools"),
    *("dataUseCases", "dataBiases", "dataLimitations", "dataSocialImpact", "personalSensitiveInformation", "dataReleaseMaintenancePlan"),
)
"""Fields for responsible AI (Croissant RAI 1.0) that a caller may give."""


def croissant(held: Held, said: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON-LD document. `said` are facts by their names in `PLAIN` and `RAI`. Raises `UnknownName` for another name."""
    known = dict(said or {})
    if wrong := next((name for name in known if name not in PLAIN and name not in RAI), None):
        raise UnknownName("fact of Croissant", wrong, [*PLAIN, *RAI])
    passport, files = held.passport, held.details.files
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": passport.name,
        "description": _description(passport),
        "datePublished": passport.recorded,
        "version": f"1.0.0+{passport.content.root[:16]}",
        "identifier": f"urn:sha256:{passport.id}",
        "distribution": list(_distribution(passport, files)),
        "recordSet": list(_record_sets(passport, files)),
    }
    document |= {name: _fact(name, text) for name, text in known.items() if name in PLAIN}
    document |= {f"rai:{name}": text for name, text in _found(held).items()}
    document |= {f"rai:{name}": _fact(name, text) for name, text in known.items() if name in RAI}
    if held.details.parents:
        document["isBasedOn"] = [f"urn:sha256:{parent.passport}" for parent in held.details.parents]
    return document


def _description(passport: Passport) -> str:
    rows = f"{passport.content.rows} rows in {passport.content.columns} columns" if passport.content.columns else "files"
    return f"{rows}; {passport.files.count} file{'s' * (passport.files.count != 1)} of {passport.files.size} bytes in all."


def _fact(name: str, text: str) -> Any:
    if name in ("creator", "publisher"):
        return {"@type": "sc:Organization", "name": text}
    if name == "keywords":
        return [part.strip() for part in text.split(",") if part.strip()]
    return text.split("/") if name == "dataCollectionTimeframe" and "/" in text else text


def _found(held: Held) -> dict[str, str]:
    """What the passport itself knows for the fields for responsible AI: its lineage, and what checks found when it was recorded."""
    answers, told = held.details.answers, dict[str, str]()
    if held.details.parents:
        told["dataCollection"] = "Derived from " + ", ".join(parent.name for parent in held.details.parents)
    for name, areas, failed_only in (
        ("personalSensitiveInformation", ("pii",), False),
        ("dataBiases", ("fairness", "quality.representation"), False),
        ("dataLimitations", ("quality", "poisoning"), True),
    ):
        fitting = [a for a in answers if _fits(a, areas) and a.verdict is not None and (a.verdict == "fail" or not failed_only)]
        if fitting:
            told[name] = "; ".join(f"{a.title} ({a.check}: {a.verdict})" for a in fitting[:SAID])
    return told


def _fits(answer: Answer, areas: Sequence[str]) -> bool:
    return answer.area in areas or answer.check in areas


def _distribution(passport: Passport, files: tuple[FileRecord, ...]) -> Iterator[dict[str, Any]]:
    if len(files) <= MANY:
        for file in files:
            yield {
                "@type": "cr:FileObject",
                "@id": _id(_place(file, passport)),
                "name": _place(file, passport),
                "contentUrl": _place(file, passport),
                "contentSize": f"{file.size} B",
                "encodingFormat": _media(file),
                "sha256": file.sha256,
            }
    for name, kind, suffixes in _sets(files):
        yield {
            "@type": "cr:FileSet",
            "@id": name,
            "name": name,
            "encodingFormat": kind[0] if len(kind) == 1 else kind,
            "includes": f"*{suffixes[0]}" if len(suffixes) == 1 else [f"*{suffix}" for suffix in suffixes],
        }


def _sets(files: tuple[FileRecord, ...]) -> Iterator[tuple[str, list[str], list[str]]]:
    """(id, media types, endings) of the sets of files: the pictures of a folder, and of many files each kind by its ending."""
    if pictures := _pictures(files):
        yield "pictures", sorted({_media(file) for file in pictures}), sorted({PurePosixPath(file.name).suffix for file in pictures})
    if len(files) > MANY:
        kinds: dict[str, str] = {}
        for file in files:
            kinds.setdefault(PurePosixPath(file.name).suffix, _media(file))
        for suffix, media in sorted(kinds.items()):
            if suffix and media not in _PICTURES.values():
                yield _set_of(suffix), [media], [suffix]


def _set_of(suffix: str) -> str:
    return f"files-{_id(suffix.lstrip('.'))}"


def _pictures(files: tuple[FileRecord, ...]) -> list[FileRecord]:
    return [file for file in files if file.name != WHOLE and _media(file) in _PICTURES.values()]


def _record_sets(passport: Passport, files: tuple[FileRecord, ...]) -> Iterator[dict[str, Any]]:
    if pictures := _pictures(files):
        yield _of_pictures(pictures)
    if len(files) <= MANY:
        for file in files:
            place, source = _place(file, passport), {"fileObject": {"@id": _id(_place(file, passport))}}
            yield from _records("rows" if file.name == WHOLE else f"{_id(place)}/rows", file, source)
        return
    kinds: dict[str, list[FileRecord]] = {}
    for file in files:
        kinds.setdefault(PurePosixPath(file.name).suffix, []).append(file)
    for suffix, alike in sorted(kinds.items()):
        if suffix and len({file.schema for file in alike}) == 1:
            yield from _records(f"{_set_of(suffix)}/rows", alike[0], {"fileSet": {"@id": _set_of(suffix)}})


def _records(name: str, file: FileRecord, source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a table, or the content of a text; none for what cannot be read as either."""
    kind, _, packed = file.format.partition("+")
    if kind == "text" and not packed:
        field = {"@type": "cr:Field", "@id": f"{name}/content", "name": "content", "dataType": "sc:Text",
                 "source": {**source, "extract": {"fileProperty": "content"}}}  # fmt: skip
        yield {"@type": "cr:RecordSet", "@id": name, "name": name, "field": [field]}
    elif kind in _MEDIA and kind != "text":
        fields = list(_fields(name, file.columns, source))
        if fields:
            yield {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _fields(name: str, columns: Sequence[Profile], source: dict[str, Any]) -> Iterator[dict[str, Any]]:
    taken: set[str] = set()
    for column in columns:
        inner = column.type.removeprefix("list<").removesuffix(">") if column.type.startswith("list<") else column.type
        kind = next((kind for start, kind in _TYPES if inner.startswith(start)), None)
        if kind is None:
            continue
        key, number = f"{name}/{_id(column.name, safe='')}", 1
        while key in taken:
            number += 1
            key = f"{name}/{_id(column.name, safe='')}-{number}"
        taken.add(key)
        field = {"@type": "cr:Field", "@id": key, "name": column.name, "dataType": kind}
        yield field | ({"repeated": True} if inner != column.type else {}) | {"source": {**source, "extract": {"column": column.name}}}


def _of_pictures(pictures: Sequence[FileRecord]) -> dict[str, Any]:
    """A record a picture: itself, its file, and where each lies in a folder, that folder's name: the class in a folder of classes."""
    source = {"fileSet": {"@id": "pictures"}}
    fields = [
        _picture_field("image", "sc:ImageObject", {**source, "extract": {"fileProperty": "content"}}),
        _picture_field("file", "sc:Text", {**source, "extract": {"fileProperty": "fullpath"}}),
    ]
    if all(len(PurePosixPath(file.name).parts) > 1 for file in pictures):
        inner = {"extract": {"fileProperty": "fullpath"}, "transform": {"regex": "^(?:.*/)?([^/]+)/[^/]+$"}}
        fields.append(_picture_field("folder", "sc:Text", {**source, **inner}))
    return {"@type": "cr:RecordSet", "@id": "pictures/records", "name": "pictures/records", "field": fields}


def _picture_field(name: str, kind: str, source: dict[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": f"pictures/records/{name}", "name": name, "dataType": kind, "source": source}


def _place(file: FileRecord, passport: Passport) -> str:
    return passport.name if file.name == WHOLE else file.name


def _id(text: str, safe: str = "/") -> str:
    """A relative IRI (RFC 3987) for a name: letters, digits and `-._~` stay, everything else is percent-encoded; never empty."""
    return quote(text, safe=safe) or "%20"


def _media(file: FileRecord) -> str:
    kind, _, packed = file.format.partition("+")
    if packed:
        return _PACKED.get(packed, "application/octet-stream") if packed != "gzip" else _MEDIA.get(kind, "application/gzip")
    return _MEDIA.get(kind) or _PICTURES.get(PurePosixPath(file.name).suffix.lower(), "application/octet-stream")
