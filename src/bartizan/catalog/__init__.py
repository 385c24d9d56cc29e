"""The catalogue: threats, controls, frameworks, crosswalks and the implementation checklist, all as data files, and one loader.

What ships lies in `data/`: `threats/<family>.yaml`, `controls/<group>.yaml`, `frameworks/<id>.yaml`, `crosswalks/<id>.yaml` and
`checklist.yaml`. A user adds files or folders of the same shapes (manifest key `catalogs`); which shape a file has is told by its keys:

    threats:  [...]    threats; `family:` beside it names the family of all that do not name their own
    controls: [...]    controls; may stand in one file with threats
    clauses:  [...]    one framework: the keys are those of `model.threats.Framework`
    links:    [...]    one crosswalk: the keys are those of `model.threats.Crosswalk`
    items:    [...]    items of the implementation checklist

Nothing can be overwritten: an id that is taken is an error that names both places. An id once given away is not given again: it lives on
among the `aliases` of its successor.
"""

from bartizan.catalog.catalogue import Catalog
from bartizan.catalog.loader import load, problems

__all__ = ["Catalog", "load", "problems"]
