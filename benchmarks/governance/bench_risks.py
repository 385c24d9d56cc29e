"""CPU seconds of one hundred risks with evidence, beside the bound of 0.2 s; run with `python benchmarks/governance/bench_risks.py`."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "governance"))

import governance_world as w
import msgspec

from bartizan.governance.risk import risks_of
from bartizan.model.threats import ThreatInstance, ThreatModel

BOUND = 0.2


def main() -> None:
    names = [f"scorer-{i}" for i in range(100)]
    model = ThreatModel(
        system="credit", instances=tuple(ThreatInstance(threat="membership", element=n, certain=True) for n in names), questions=()
    )
    findings = [msgspec.structs.replace(w.attack(i % 4, 300 + i), asset=n) for i, n in enumerate(names)]
    records = w.evidence(*findings)
    for attempt in ("first, with the import of numpy", "second"):
        start = time.process_time()
        risks = risks_of(w.system(), w.CATALOG, model, records, (), (), w.TODAY)
        spent = time.process_time() - start
        print(f"{len(risks)} risks, {attempt}: {spent:.3f} s CPU, {spent / BOUND:.2f} of the bound of {BOUND} s")


if __name__ == "__main__":
    main()
