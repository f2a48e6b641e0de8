"""What tests of the command share."""

from pathlib import Path

import pytest

from .broken_runs import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)
