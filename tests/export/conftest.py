"""One thread and one seed for every test here, and packages of random models, exported once."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from server.package import ModelPackage
from tests.export.tiny_package import OTHER, PAPER, make_model, write_package
from training.model import Transformer


@pytest.fixture(autouse=True)
def one_thread_one_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(1)


@dataclass(frozen=True)
class Exported:
    """A PyTorch model and the package made of it."""

    model: Transformer
    package: ModelPackage


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Post-norm, sinusoidal, tied; fp32 and int8."""
    model = make_model(PAPER)
    folder = tmp_path_factory.mktemp("paper")
    return Exported(model, write_package(model, folder, ("cpu-fp32", "cpu-int8")))


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Pre-norm, learned positions, untied, gelu; fp32 and int8."""
    model = make_model(OTHER)
    folder = tmp_path_factory.mktemp("other")
    return Exported(model, write_package(model, folder, ("cpu-fp32", "cpu-int8")))


@pytest.fixture(params=["paper", "other"])
def exported(request: pytest.FixtureRequest) -> Exported:
    """Either of them."""
    return request.getfixturevalue(request.param)
