"""The content-addressed, chained, signed record: keys, store, checkpoints, bundles, and verification that needs no network."""

from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.keyring import Keyring
from bartizan.evidence.signing import PublicKey, Signer
from bartizan.evidence.store import Store

__all__ = ["Checkpoint", "Keyring", "PublicKey", "Signer", "Store"]
