"""The passport as Croissant 1.0 (JSON-LD of MLCommons) with the fields of its vocabulary for responsible AI, for catalogues of data sets.

Files become `cr:FileObject` with size and SHA-256 (a folder of many a `cr:FileSet`), the columns of a table `cr:Field`. What nobody
declared is left out: an empty promise is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bartizan.areas.provenance.passport.statement import FileRecord, Held, Passport
from bartizan.areas.provenance.signing.names import WHOLE

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "column": "cr:column",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "includes": "cr:includes",
    "recordSet": "cr:recordSet",
    "source": "cr:source",
    "md5": "cr:md5",
}
"""The names that the document uses."""

MANY = 200
"""Files beyond which the folder is described as a set, not file by file."""

_MEDIA = {
    "csv": "text/csv",
    "tsv": "text/tab-separated-values",
    "jsonl": "application/jsonlines",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.file",
    "text": "text/plain",
}
_TYPES = (
    ("int", "sc:Integer"),
    ("uint", "sc:Integer"),
    ("float", "sc:Float"),
    ("decimal", "sc:Float"),
    ("bool", "sc:Boolean"),
    ("date", "sc:Date"),
    ("timestamp", "sc:DateTime"),
    ("time", "sc:Time"),
)

RAI = ("dataCollection", "dataBiases", "dataLimitations", "dataUseCases", "dataSocialImpact", "personalSensitiveInformation",
       "dataAnnotationProtocol", "dataPreprocessingProtocol", "dataReleaseMaintenancePlan")  # fmt: skip
"""Fields for responsible AI that a caller may give."""


def croissant(held: Held, said: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON-LD document. `said` are description, license, url, creator and the names in `RAI`, as far as they are known."""
    known = dict(said or {})
    passport, files = held.passport, held.details.files
    document: dict[str, Any] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.0", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": passport.name,
        "datePublished": passport.recorded,
        "version": passport.content.root[:16],
        "identifier": f"urn:sha256:{passport.id}",
        "distribution": _distribution(passport, files),
        "recordSet": [_record_set(file, passport.name) for file in files[:MANY] if file.columns],
    }
    document |= {name: known[name] for name in ("description", "license", "url", "creator") if name in known}
    document |= {f"rai:{name}": known[name] for name in RAI if name in known}
    if held.details.parents:
        document["rai:dataCollection"] = known.get("dataCollection") or "Derived from " + ", ".join(p.name for p in held.details.parents)
        document["isBasedOn"] = [f"urn:sha256:{parent.passport}" for parent in held.details.parents]
    return document


def _distribution(passport: Passport, files: tuple[FileRecord, ...]) -> list[dict[str, Any]]:
    if len(files) > MANY:
        folder = {"@type": "cr:FileObject", "@id": "folder", "name": "folder", "contentUrl": "./", "encodingFormat": "inode/directory"}
        folder["sha256"] = passport.files.root
        return [folder, {"@type": "cr:FileSet", "@id": "files", "name": "files", "containedIn": {"@id": "folder"}, "includes": "**"}]
    return [
        {
            "@type": "cr:FileObject",
            "@id": _id(file, passport),
            "name": _id(file, passport),
            "contentUrl": _id(file, passport),
            "contentSize": f"{file.size} B",
            "encodingFormat": _MEDIA.get(file.format.partition("+")[0], "application/octet-stream"),
            "sha256": file.sha256,
        }
        for file in files
    ]


def _record_set(file: FileRecord, whole: str) -> dict[str, Any]:
    name = "rows" if file.name == WHOLE else file.name
    fields = [
        {
            "@type": "cr:Field",
            "@id": f"{name}/{column.name}",
            "name": column.name,
            "dataType": next((kind for start, kind in _TYPES if column.type.startswith(start)), "sc:Text"),
            "source": {"fileObject": {"@id": whole if file.name == WHOLE else file.name}, "extract": {"column": column.name}},
        }
        for column in file.columns
    ]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _id(file: FileRecord, passport: Passport) -> str:
    return passport.name if file.name == WHOLE else file.name
