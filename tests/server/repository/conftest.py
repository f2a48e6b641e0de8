"""What loads the packages of a test."""

from __future__ import annotations

import pytest

from tests.server.repository.fake_models import Loader


@pytest.fixture
def loader() -> Loader:
    return Loader()
