"""Proofs that need nothing but themselves and a public key: a row is in the data set; a row is not in it.

A proof holds the signed statement of the passport. That a row is in: the row itself, the path from its hash to the root of its file, and
from there to the root of the content. That it is not: the one bucket of row hashes in which it would be, and the path to the root of the
set. Hashes of other rows stand in both: whoever can guess a whole row can recognise it, so treat a proof as you treat the data.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from bartizan.areas.provenance.passport import encoding
from bartizan.areas.provenance.passport.reading import Table
from bartizan.areas.provenance.passport.recording import TREE, arrow_type, content_leaves, file_record, row_hashes
from bartizan.areas.provenance.passport.row_set import RowSet, bits_for, bucket_leaf, bucket_of
from bartizan.areas.provenance.passport.statement import FileRecord, Held, read_lines
from bartizan.areas.provenance.passport.trees import BLOCK, climbed, leaf_hash, path
from bartizan.areas.provenance.signing.files import listing
from bartizan.areas.provenance.signing.hashing import digests_of
from bartizan.areas.provenance.signing.keys import PublicKey
from bartizan.areas.provenance.signing.names import WHOLE
from bartizan.evidence.canonical import canonical
from bartizan.model.errors import EvidenceError, InputError, Refused

MAX_BYTES = 64 * 1024 * 1024
"""Largest proof that is read."""


_DAMAGED = (
    ValueError, TypeError, KeyError, OverflowError, MemoryError, OSError, StopIteration, binascii.Error, pa.ArrowException,
    msgspec.MsgspecError, InputError,
)  # fmt: skip
"""What reading an altered proof may raise: Arrow says of a broken message that it is an error of input and output."""


class Inclusion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="row-in"):
    """That the row `row` of `file` (from 0) is in the data. `data` is the row as Arrow stream in base64; `content` the leaf of its file."""

    passport: str
    file: str
    row: int
    data: str
    rows: int
    steps: tuple[str, ...]
    content: str
    index: int
    files: int
    content_steps: tuple[str, ...]


class Absence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="row-gone"):
    """That no row of the data has the hash `leaf`. `bucket` are the hashes among which it would stand, in base64."""

    passport: str
    leaf: str
    schema: str
    bucket: str
    steps: tuple[str, ...]


class Proved(msgspec.Struct, frozen=True, kw_only=True):
    """What a proof shows, once it holds, and the id of the passport that it leads to. `values` are the row's, for people; empty for a row
    that is gone."""

    passport: str
    name: str
    recorded: str
    said: str
    values: dict[str, Any]
    leaf: bytes
    schema: str


def prove_row(data: Path, held: Held, number: int) -> Inclusion:
    """The proof that the row `number` (from 0, over all files in their order) is in the data at `data`, which `held` describes.

    Raises `InputError` where there is no such row, `Refused` where the data is not what the passport says.
    """
    file, row = _located(held, number)
    place = listing(data, ignore=held.details.ignored).files.get(file.name)
    if place is None:
        raise Refused("is not there any more", place=file.name)
    one, leaves = _block(file, place, row)
    block = row // BLOCK
    steps = path(leaves, row % BLOCK) + (path([bytes.fromhex(b) for b in file.blocks], block) if file.blocks else [])
    if climbed(leaves[row % BLOCK], row, file.rows, steps) != bytes.fromhex(file.root):
        raise Refused("was changed since its passport was recorded", place=file.name, cure="see what: bartizan data verify")
    contents = content_leaves(held.details.files)
    index = next(n for n, (_, record) in enumerate(contents) if record is file)
    hashes = [leaf_hash(content) for content, _ in contents]
    return Inclusion(
        passport=held.lines[0].decode(),
        file=file.name,
        row=row,
        data=base64.b64encode(one).decode(),
        rows=file.rows,
        steps=tuple(s.hex() for s in steps),
        content=contents[index][0].decode(),
        index=index,
        files=len(contents),
        content_steps=tuple(s.hex() for s in path(hashes, index)),
    )


def prove_gone(data: Path, held: Held, earlier: Proved) -> Absence:
    """The proof that the row that `earlier` showed is not in the data at `data`, which `held` describes.

    Raises `Refused` where the row is there, where the data is not what the passport says, or where its columns are others, so that the
    row might be there in another form.
    """
    if not any(file.schema == earlier.schema for file in held.details.files):
        raise Refused("has other columns than the row, which may be there in another form", place=str(data), cure="compare passports first")
    with RowSet() as rows:
        files = listing(data, ignore=held.details.ignored).files
        digests = digests_of(files, tree=TREE, follow=not data.is_dir())
        for record in held.details.files:
            if record.name not in files:
                raise Refused("is not there any more", place=record.name)
            types = {column: arrow_type(kind) for column, kind in record.types.items()}
            file_record(record.name, files[record.name], digests[record.name], rows, types)
        bits = bits_for(rows.size)
        wanted = bucket_of(earlier.leaf, bits)
        leaves, bucket = [], b""
        for number, digests_in in enumerate(rows.buckets(bits)):
            leaves.append(bucket_leaf(digests_in))
            bucket = digests_in if number == wanted else bucket
    steps = path(leaves, wanted)
    if climbed(leaves[wanted], wanted, len(leaves), steps) != bytes.fromhex(held.passport.content.set):
        raise Refused("was changed since its passport was recorded", place=str(data), cure="see what: bartizan data verify")
    if earlier.leaf in _hashes(bucket):
        raise Refused("the row is still there", place=str(data))
    return Absence(
        passport=held.lines[0].decode(),
        leaf=earlier.leaf.hex(),
        schema=earlier.schema,
        bucket=base64.b64encode(bucket).decode(),
        steps=tuple(s.hex() for s in steps),
    )


def encode(proof: Inclusion | Absence) -> bytes:
    """The proof as JSON."""
    return msgspec.json.encode(proof)


def decode(data: bytes) -> Inclusion | Absence:
    """The proof in `data`. Raises `EvidenceError`."""
    if len(data) > MAX_BYTES:
        raise EvidenceError(f"is larger than {MAX_BYTES} bytes, too large for a proof")
    try:
        return msgspec.json.decode(data, type=Inclusion | Absence)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise EvidenceError(f"is no proof: {error}", cure="make one with bartizan data prove") from None


def check(proof: Inclusion | Absence, key: PublicKey) -> Proved:
    """What `proof` shows, given that `key` signed the passport. Raises `EvidenceError` where it does not hold. Reads no file."""
    try:
        return _check_in(proof, key) if isinstance(proof, Inclusion) else _check_gone(proof, key)
    except _DAMAGED as error:
        raise EvidenceError(f"the proof is damaged: {error}") from None


def _check_in(proof: Inclusion, key: PublicKey) -> Proved:
    passport, _, _ = read_lines((proof.passport.encode(),), key)
    content = proof.content.encode()
    said = msgspec.json.decode(content)
    root = climbed(leaf_hash(content), proof.index, proof.files, [bytes.fromhex(s) for s in proof.content_steps])
    if canonical(said) != content or root != bytes.fromhex(passport.content.root):
        raise EvidenceError("the proof does not lead to the passport: its file is not part of the data set")
    if said["rows"] != str(proof.rows):
        raise EvidenceError("the proof contradicts itself: its file has another number of rows")
    raw = base64.b64decode(proof.data, validate=True)
    leaf, schema, values = _row(raw, said["schema"])
    top = climbed(leaf, proof.row, proof.rows, [bytes.fromhex(s) for s in proof.steps])
    if schema != said["schema"] or top != bytes.fromhex(said["root"]):
        raise EvidenceError("the proof does not hold: this row is not at that place of the data set")
    place = f"row {proof.row}" if proof.file == WHOLE else f"row {proof.row} of {proof.file}"
    text = f"{place} is in {passport.name} as recorded {passport.recorded}"
    return Proved(passport=passport.id, name=passport.name, recorded=passport.recorded, said=text, values=values, leaf=leaf, schema=schema)


def _check_gone(proof: Absence, key: PublicKey) -> Proved:
    passport, _, _ = read_lines((proof.passport.encode(),), key)
    leaf, bucket = bytes.fromhex(proof.leaf), base64.b64decode(proof.bucket, validate=True)
    bits = bits_for(passport.content.rows)
    index = bucket_of(leaf, bits)
    top = climbed(bucket_leaf(bucket), index, 1 << bits, [bytes.fromhex(s) for s in proof.steps])
    if len(leaf) != 32 or len(bucket) % 32 or top != bytes.fromhex(passport.content.set):
        raise EvidenceError("the proof does not lead to the passport: these are not the hashes of its rows")
    if leaf in _hashes(bucket):
        raise EvidenceError("the proof does not hold: the row is in the data set")
    text = f"no row with the hash {leaf.hex()[:16]}… is in {passport.name} as recorded {passport.recorded}"
    if proof.schema != passport.content.schema:
        text += " (its tables have different columns: the row may be there in another form)"
    return Proved(
        passport=passport.id, name=passport.name, recorded=passport.recorded, said=text, values={}, leaf=leaf, schema=proof.schema
    )


def _located(held: Held, number: int) -> tuple[FileRecord, int]:
    rest = number
    for file in held.details.files:
        if 0 <= rest < file.rows:
            return file, rest
        rest -= file.rows
    raise InputError(f"there is no row {number}", cure=f"rows are counted from 0 to {held.passport.content.rows - 1}")


def _block(file: FileRecord, place: Path, row: int) -> tuple[bytes, list[bytes]]:
    """The row as an Arrow stream, and the hashes of the rows of its block."""
    if file.format == "file":
        digest = digests_of({file.name: place}, follow=file.name == WHOLE)[file.name]
        raw = bytes.fromhex(digest.hex)
        return raw, [leaf_hash(b"file" + raw)]
    first, leaves, one, start = row // BLOCK * BLOCK, bytearray(), b"", 0
    kind, _, packed = file.format.partition("+")
    types = {c.name: arrow_type(_CSV.get(c.type, c.type)) for c in file.columns if c.type in _CSV} if kind in ("csv", "tsv") else {}
    types |= {column: arrow_type(kind) for column, kind in file.types.items()}
    for batch in Table(place, kind, packed or None, types).batches():
        low, high = max(first - start, 0), min(first + BLOCK - start, batch.num_rows)
        if low < high:
            part = batch.slice(low, high - low)
            leaves += row_hashes(encoding.columns_of(part.columns), part.num_rows)
            if start + low <= row < start + high:
                one = _stream(batch.slice(row - start, 1))
        start += batch.num_rows
        if start >= first + BLOCK:
            break
    if not one:
        raise Refused("has fewer rows than its passport says", place=file.name, cure="see what: bartizan data verify")
    return one, [bytes(leaves[n : n + 32]) for n in range(0, len(leaves), 32)]


_CSV = {"int64": "int64", "float64": "float64", "bool": "bool", "string": "string", "binary": "binary", "null": "null"}
"""What a column of a csv file was read as, so that it is read the same way at once."""


def _stream(batch: Any) -> bytes:
    sink = pa.BufferOutputStream()
    plain = pa.record_batch([_compact(column) for column in batch.columns], names=batch.schema.names)
    with pa.ipc.new_stream(sink, plain.schema) as writer:
        writer.write_batch(plain)
    return bytes(sink.getvalue())


def _compact(column: Any) -> Any:
    """The one value by itself, without the rest of a dictionary or of shared buffers."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    return column.take(pa.array([0]))


def _row(raw: bytes, schema: str) -> tuple[bytes, str, dict[str, Any]]:
    """(hash, digest of the columns, values) of a row; a plain file has the digest of no columns."""
    if len(raw) == 32:
        none = hashlib.sha256(canonical([])).hexdigest()
        return leaf_hash(b"file" + raw), none, {"sha256": raw.hex()}
    batch = pa.ipc.open_stream(raw).read_next_batch()
    if batch.num_rows != 1:
        raise EvidenceError("the proof does not hold one row")
    batch.validate(full=True)
    columns = [[field.name, encoding.type_name(field.type)] for field in batch.schema]
    found = hashlib.sha256(canonical(columns)).hexdigest()
    if found != schema:
        raise EvidenceError("the proof does not hold: the row has other columns than the file")
    return row_hashes(encoding.columns_of(batch.columns), 1), found, batch.to_pylist()[0]


def _hashes(bucket: bytes) -> set[bytes]:
    return {bucket[n : n + 32] for n in range(0, len(bucket), 32)}
