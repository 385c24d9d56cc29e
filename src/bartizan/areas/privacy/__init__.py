"""Privacy: what a model tells about the persons it learnt from."""
