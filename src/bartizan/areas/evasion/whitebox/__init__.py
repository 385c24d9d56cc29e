"""Attacks that see the model's gradients. One file per attack; all take targets and flat rows."""
