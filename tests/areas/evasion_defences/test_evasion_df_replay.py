"""Replay of adversarial examples: the artefact's bytes, what is refused, and what one forward pass tells."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from bartizan.areas.evasion import replay as rp
from bartizan.areas.evasion.gate import gate
from bartizan.model.errors import EvidenceError, InputError, Refused
from bartizan.model.findings import Verdict

ORIGIN = rp.Origin(norm="linf", eps=0.25, attack="pgd", seed=3, model="ab" * 32)


def sample(count=40, seed=0):
    """Points on a line; the model says 1 above 0.5; the examples step by 0.25 towards the other side."""
    dice = np.random.default_rng(seed)
    x = dice.random((count, 1, 2, 2)).astype(np.float32)
    y = (x.reshape(count, -1).mean(1) > 0.5).astype(np.int64)
    step = np.where(y == 1, -0.25, 0.25).astype(np.float32).reshape(-1, 1, 1, 1)
    adversarial = np.clip(x + step, 0, 1)
    found = (adversarial.reshape(count, -1).mean(1) > 0.5) != (y == 1)
    adversarial[~found] = x[~found]
    return rp.examples(x, adversarial, y, found, ORIGIN)


def above(limit):
    return lambda rows: (rows.reshape(len(rows), -1).mean(1) > limit).astype(np.int64)


def test_an_artefact_comes_back_bit_by_bit_under_its_digest(tmp_path):
    one = sample()
    name = rp.save(tmp_path, one)
    assert rp.save(tmp_path, sample()) == name
    assert [p.name for p in tmp_path.iterdir()] == [f"{name}.npz"]
    back = rp.load(tmp_path, name)
    for field in ("x", "adversarial", "y", "found"):
        assert np.array_equal(getattr(one, field), getattr(back, field))
        assert getattr(one, field).dtype == getattr(back, field).dtype
    assert back.origin == ORIGIN
    assert np.array_equal(np.load(tmp_path / f"{name}.npz", allow_pickle=False)["x"], one.x)  # any NumPy reads it


def test_one_forward_pass_tells_what_is_still_broken_and_what_is_left_to_attack():
    one = sample()
    seen = []

    def predict(rows):
        seen.append(len(rows))
        return above(0.5)(rows)

    same = rp.replay(one, predict)
    assert seen == [same.forwards] == [40 + int(one.found.sum())]
    assert same.robust == 40 - int(one.found.sum())
    assert same.low <= same.robust / 40 <= same.high
    better = rp.replay(one, lambda rows: np.eye(2)[one.y[[np.abs(one.x - r).max((1, 2, 3)).argmin() for r in rows]]])
    assert better.robust >= same.robust
    shifted = rp.replay(one, above(0.7))
    assert shifted.clean < 40
    assert set(shifted.broken).isdisjoint(shifted.wrong)
    assert shifted.robust == 40 - len(shifted.broken) - len(shifted.wrong)


def test_replayed_images_need_no_attack_in_the_gate():
    one = sample(400)
    known = rp.replay(one, above(0.5)).known
    found = gate(lambda indices: [True] * len(indices), 400, 0.9, known=known)
    assert found.verdict is Verdict.FAIL
    assert found.attacked < found.tried


def test_examples_outside_the_ball_or_the_range_are_not_accepted():
    one = sample()
    with pytest.raises(InputError, match="linf ball"):
        rp.examples(one.x, np.clip(one.x + 0.3, 0, 1), one.y, one.found, ORIGIN)
    with pytest.raises(InputError, match="valid range"):
        rp.examples(one.x, one.x - 0.25, one.y, one.found, ORIGIN)
    with pytest.raises(InputError, match="shapes"):
        rp.examples(one.x, one.adversarial, one.y[:3], one.found, ORIGIN)
    for norm, eps in (("l2", 0.5), ("l1", 1.0), ("l0", 4)):
        rp.examples(one.x, one.adversarial, one.y, one.found, rp.Origin(norm=norm, eps=eps))


def test_changed_bytes_and_hostile_archives_are_refused(tmp_path):
    one = sample()
    name = rp.save(tmp_path, one)
    path = tmp_path / f"{name}.npz"
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(EvidenceError, match="changed"):
        rp.load(tmp_path, name)
    with pytest.raises(EvidenceError, match="no such"):
        rp.load(tmp_path, "0" * 64)
    with pytest.raises(InputError, match="SHA-256"):
        rp.load(tmp_path, "../secret")

    def archive(**changed):
        out = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(rp.pack(one))) as good, zipfile.ZipFile(out, "w") as bad:
            for member in good.namelist():
                bad.writestr(member, changed.get(member.split(".")[0], good.read(member)))
        return out.getvalue()

    pickled = io.BytesIO()
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(huge, {"descr": "<f4", "fortran_order": False, "shape": (10**9, 10**3)})
    for bad in (
        b"", b"PK", bytes(rp.pack(one)[:200]), archive(x=pickled.getvalue()), archive(x=huge.getvalue()), archive(y=b"\x93NUMPY\x01\x00"),
        archive(origin=b"{}"), archive(origin=b"[1]"),
    ):  # fmt: skip
        with pytest.raises(Refused):
            rp.unpack(bad)
    assert np.array_equal(rp.unpack(archive()).x, one.x)
