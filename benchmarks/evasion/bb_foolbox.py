"""Decision attacks beside foolbox on one small perceptron: distance reached with the same number of queries from the same starting points.

foolbox is installed into build/peers/foolbox with its torch. Both attack the same weights, rows and labels; queries are rows that went
through the model, counted by a wrapper for foolbox and by the target for bartizan. Prints medians over the rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PEER = ROOT / "build" / "peers" / "foolbox"
ROWS = 60

PEER_SCRIPT = """
import json, sys, time
import numpy as np, torch, foolbox
torch.set_num_threads(1); torch.manual_seed(0); np.random.seed(0)
data = np.load(sys.argv[1])
count = 0
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = [torch.tensor(data[k]) for k in ("w0", "b0", "w1", "b1")]
    def forward(self, x):
        global count
        count += len(x)
        w0, b0, w1, b1 = self.w
        return torch.relu(x.reshape(len(x), -1) @ w0 + b0) @ w1 + b1
model = foolbox.PyTorchModel(Net().eval(), bounds=(0, 1), device="cpu")
x, y, starts = torch.tensor(data["x"]), torch.tensor(data["y"]), torch.tensor(data["starts"])
def measure(name, norm, attack, **more):
    global count
    count, t = 0, time.perf_counter()
    adversarial = attack.run(model, x, foolbox.criteria.Misclassification(y), starting_points=starts, **more)
    seconds = time.perf_counter() - t
    change = (adversarial - x).reshape(len(x), -1)
    distance = change.abs().amax(1) if norm == "linf" else change.norm(dim=1)
    print(json.dumps([name, norm, count / len(x), float(distance.median()), seconds]), flush=True)
from foolbox.attacks import BoundaryAttack, HopSkipJumpAttack
for norm in ("l2", "linf"):
    for steps in (1, 3, 8, 16):
        measure("hopskipjump", norm, HopSkipJumpAttack(steps=steps, constraint=norm))
for steps in (200, 1000, 3000):
    measure("boundary", "l2", BoundaryAttack(steps=steps))
"""


def peer_python() -> Path:
    """The peer's interpreter, its environment made where it is missing."""
    python = PEER / "bin" / "python"
    if not python.exists():
        venv.create(PEER, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "foolbox", "torch"], check=True)
    return python


def setting() -> tuple[object, dict[str, np.ndarray]]:
    """A perceptron trained on scikit-learn's digits, rows that it gets right, and for each the nearest row of another class."""
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    net = MLPClassifier((64,), max_iter=60, random_state=0).fit(x[:1200], y[:1200])
    right = 1200 + np.flatnonzero(net.predict(x[1200:]) == y[1200:])[:ROWS]
    pool = np.flatnonzero(net.predict(x[:1200]) == y[:1200])
    starts = np.stack([x[(others := pool[y[pool] != y[i]])[((x[others] - x[i]) ** 2).sum(1).argmin()]] for i in right])
    (w0, w1), (b0, b1) = net.coefs_, net.intercepts_
    return net, {"x": x[right], "y": y[right], "starts": starts, "w0": w0, "b0": b0, "w1": w1, "b1": b1}


def main() -> int:
    from bartizan.areas.evasion.blackbox.attacks import black_box

    net, data = setting()
    path = PEER.parent / "foolbox_setting.npz"
    python = peer_python()
    np.savez(path, **{name: values.astype(np.float32) if values.dtype.kind == "f" else values for name, values in data.items()})
    answer = subprocess.run([python, "-c", PEER_SCRIPT, path], check=True, capture_output=True, text=True).stdout
    peers = [json.loads(line) for line in answer.splitlines() if line.startswith("[")]
    print("attack       norm   queries   foolbox      ours  ratio      s ours s   signopt, same queries")
    worse = 0
    for name, norm, queries, distance, seconds in peers:
        budget = max(int(queries), 3)
        reached = {}
        for attack in (name, "signopt"):
            begin = time.perf_counter()
            hunt = black_box(net.predict, data["x"], data["y"], attack=attack, norm=norm, queries=budget, starts=data["starts"])
            reached[attack] = (float(np.median(hunt.distance)), time.perf_counter() - begin, int(hunt.queries.max()))
        ours, own, most = reached[name]
        assert most <= budget
        worse += ours > distance * 1.02
        tail = f"{reached['signopt'][0]:.4f}"
        print(f"{name:12} {norm:5} {queries:8.0f} {distance:9.4f} {ours:9.4f} {ours / distance:6.2f} {seconds:6.2f} {own:6.2f}   {tail}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
