"""Groups of rows that repeat one another: equal rows, nearly equal texts, the same picture saved again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from bartizan.areas.quality.alike_pictures import CLOSER, FARTHEST, SAME, thumbnails
from bartizan.areas.quality.alike_texts import clusters, near_texts
from bartizan.areas.quality.leaked_rows import holds_texts, joined
from bartizan.methods.aligned_tables import fold
from bartizan.methods.neighbours import neighbours

Ints = npt.NDArray[np.int64]


def duplicate_rows(frame: pd.DataFrame) -> Ints:
    """For each row of `frame` the first row that it repeats, itself where it repeats none, (n,).

    A table with a column of texts is compared by its texts; another by all cells, case and white space folded.
    """
    texts = [name for name in frame.columns if holds_texts(frame[name])]
    keys = joined(frame[texts]) if texts else joined(frame)
    codes, firsts = _first_of(pd.Series([fold(text) for text in keys], dtype=object))
    if not texts:
        return firsts[codes]
    distinct = [keys[row] for row in firsts]
    leader = clusters(near_texts(distinct), len(distinct))
    return firsts[leader[codes]]


def _first_of(values: pd.Series) -> tuple[Ints, Ints]:
    """The number of each distinct value, and the row where it stands first."""
    codes, _ = pd.factorize(values)
    _, firsts = np.unique(codes, return_index=True)
    return np.asarray(codes, dtype=np.int64), np.asarray(firsts, dtype=np.int64)


def duplicate_pictures(images: npt.NDArray[np.float32]) -> Ints:
    """For each picture (n, channels, height, width) the earliest that it is a copy of, itself where there is none, (n,)."""
    base = thumbnails(images)
    graph = neighbours(base, 6)
    scale = np.minimum(graph.distance[:, -1][:, None], graph.distance[graph.index, -1])
    lively = (np.square(base).sum(axis=1) > 0.5)[:, None]
    copies = lively & (graph.distance <= FARTHEST) & ((graph.distance <= CLOSER * scale) | (graph.distance <= SAME))
    own = np.arange(len(images))
    leader = np.minimum(own, np.where(copies, graph.index, len(images)).min(axis=1))
    return np.asarray(leader[leader], dtype=np.int64)
