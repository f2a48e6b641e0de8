"""Fixtures of the whole suite: one trained checkpoint, one package, shared by all, not to be
written to.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from server.package import ModelPackage

settings.register_profile("suite", deadline=None)  # a busy machine is no failure
settings.load_profile("suite")

# The model is imported where it is used, so that tests without torch run where it is not installed.


@pytest.fixture(scope="session")
def numbers_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model.safetensors, its tokenizer.model beside it."""
    from tests import tiny_model

    return tiny_model.numbers_checkpoint(tmp_path_factory.mktemp("numbers-checkpoint"))


@pytest.fixture(scope="session")
def numbers_package(tmp_path_factory: pytest.TempPathFactory, numbers_checkpoint: Path) -> Path:
    """The package numbers/1 made of it, with both CPU variants."""
    from tests import tiny_model

    return tiny_model.numbers_package(
        tmp_path_factory.mktemp("numbers-package"), numbers_checkpoint
    )


@pytest.fixture(scope="session")
def half_package(
    tmp_path_factory: pytest.TempPathFactory, numbers_checkpoint: Path, numbers_package: Path
) -> ModelPackage:
    """numbers/1 with cuda-fp16 beside its CPU variants, in memory: nobody measured it on a GPU."""
    from tests import tiny_model

    folder = tmp_path_factory.mktemp("half-package")
    return tiny_model.half_package(folder, numbers_checkpoint, numbers_package)
