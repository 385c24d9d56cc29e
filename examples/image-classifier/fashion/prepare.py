"""Takes Fashion-MNIST from a folder that you give, and trains a plain torch net on a part of it.

    python prepare.py /usr/share/datasets/fashion-mnist    # where Debian's package dataset-fashion-mnist puts it
    python prepare.py FOLDER --images 60000                # all of it

Data: Fashion-MNIST, H. Xiao, K. Rasul and R. Vollgraf, Zalando Research, MIT licence; four files of the IDX format, gzip.
"""

from __future__ import annotations

import argparse
import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
SEED = 20_260
EPOCHS = 6


def idx(path: Path) -> Any:
    """The array in a gzip file of the IDX format: bytes, up to three dimensions."""
    with gzip.open(path) as file:
        dimensions = file.read(4)[3]
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
        return np.frombuffer(file.read(), dtype=np.uint8).reshape(shape)


def train(x: Any, y: Any) -> Any:
    """A net, trained as usual; its weights by name."""
    import torch
    from nets import make_net
    from torch.nn.functional import cross_entropy

    torch.manual_seed(SEED)
    images, labels = torch.tensor(x / np.float32(255.0)), torch.tensor(y.astype(np.int64))
    net = make_net()
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images)).split(128):
            optimiser.zero_grad()
            cross_entropy(net(images[batch]), labels[batch]).backward()
            optimiser.step()
    return net.state_dict()


def main() -> int:
    """Prepare data and net; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the four files lie")
    parser.add_argument("--images", type=int, default=10_000, help="training images to take")
    options = parser.parse_args()
    from safetensors.torch import save_file

    sets = {}
    for name, prefix in (("train", "train"), ("test", "t10k")):
        try:
            x, y = (idx(options.folder / f"{prefix}-{part}-ubyte.gz") for part in ("images-idx3", "labels-idx1"))
        except FileNotFoundError as error:
            sys.exit(f"prepare: {error.filename} is not there; install dataset-fashion-mnist or give its folder")
        sets[name] = x[: options.images][:, None], y[: options.images]
    (HERE / "data").mkdir(exist_ok=True)
    (HERE / "models").mkdir(exist_ok=True)
    for name, (x, y) in sets.items():
        np.savez_compressed(HERE / "data" / f"{name}.npz", x=x, y=y)
    save_file(train(*sets["train"]), str(HERE / "models" / "plain.safetensors"))
    print(f"prepare: {len(sets['train'][0])} training images, {len(sets['test'][0])} test images, a plain net")
    return 0


if __name__ == "__main__":
    sys.exit(main())
