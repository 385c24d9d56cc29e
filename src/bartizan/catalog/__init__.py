"""The catalogue: threats, controls, frameworks, crosswalks and the implementation checklist, all as data files, and one loader.

What ships lies in `data/`: `threats/<family>.yaml`, `controls/<group>.yaml`, `frameworks/<id>.yaml`, `crosswalks/<id>.yaml` and
`checklist.yaml`. A user adds files or folders of the same shapes (manifest key `catalogs`); which shape a file has is told by its keys:

    threats:  [...]    threats; `family:` beside it names the family of all that do not name their own
    controls: [...]    controls; may stand in one file with threats
    clauses:  [...]    one framework: the keys are those of `model.threats.Framework`
    links:    [...]    one crosswalk: the keys are those of `model.threats.Crosswalk`
    items:    [...]    items of the implementation checklist

Unknown is never "no". A predicate that compares a fact, or follows a relation, which the manifest does not say is unknown, and makes the
threat possible with a question. So `{fact: F, declared: true}` may stand only where silence is itself the statement, because the manifest
has no other word for "none": for `uri`, `url`, `source`, `base_model`, `revision`, `digest`, `code`, `system_prompt`, `label`,
`annotators`, `incident_plan` and `last_drill`. As a guard of any other fact it would turn ignorance into "no threat". `declared: false`
may stand as a weakness in its own right ("no digest is declared") or as the cautious reading ("not said to be somebody else's"), outside
of any `not`. The relation `uses` of anything but an application of language models or an agent is drawn like a flow: not drawn is none.

The parts of an `all` or `any` stand in the order in which they are asked for, one at a time: the fact that decides most comes first.
`data/questions.yaml` has the words in which each field is asked for.

Nothing can be overwritten: an id that is taken is an error that names both places. An id once given away is not given again: it lives on
among the `aliases` of its successor.
"""

from bartizan.catalog.catalogue import Catalog
from bartizan.catalog.loader import load, problems

__all__ = ["Catalog", "load", "problems"]
