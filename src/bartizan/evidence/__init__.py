"""The content-addressed, chained, signed record: keys, store, checkpoints, bundles, and verification that needs no network."""

from bartizan.evidence.bundle import export_bundle, verify_bundle
from bartizan.evidence.checkpoints import Checkpoint
from bartizan.evidence.keyring import Held, Keyring
from bartizan.evidence.signing import PublicKey, Signer
from bartizan.evidence.statements import Noted
from bartizan.evidence.store import Store
from bartizan.evidence.verification import Verification
from bartizan.evidence.verify import verify_store

__all__ = [
    "Checkpoint",
    "Held",
    "Keyring",
    "Noted",
    "PublicKey",
    "Signer",
    "Store",
    "Verification",
    "export_bundle",
    "verify_bundle",
    "verify_store",
]
