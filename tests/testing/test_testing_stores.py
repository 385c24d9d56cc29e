"""The store keeps its contract, and the contract notices a store that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from bartizan.evidence import Keyring, Store
from bartizan.model.risks import Evidence
from bartizan.testing.executors import samples
from bartizan.testing.stores import contract


class Forgetful(Store):
    """Loses the first record."""

    def evidence(self, verify: bool = False) -> tuple[Evidence, ...]:
        return super().evidence(verify)[1:]


class Reversing(Store):
    """Hands records out newest first."""

    def evidence(self, verify: bool = False) -> tuple[Evidence, ...]:
        return super().evidence(verify)[::-1]


def test_the_store_keeps_the_contract(tmp_path: Path) -> None:
    signer = Keyring(tmp_path / "keys").signer()
    with samples(tmp_path / "samples"):
        contract(lambda writing: Store.open(tmp_path / "state", key=signer if writing else None))


@pytest.mark.parametrize("kind", [Forgetful, Reversing])
def test_a_store_that_loses_or_reorders_is_noticed(kind: type[Store], tmp_path: Path) -> None:
    signer = Keyring(tmp_path / "keys").signer()
    with samples(tmp_path / "samples"), pytest.raises(AssertionError):
        contract(lambda writing: kind.open(tmp_path / "state", key=signer if writing else None))
