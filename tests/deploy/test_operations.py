"""docs/operations.md against the server: what it names exists, and no metric is forgotten."""

from __future__ import annotations

import re
from pathlib import Path

from server.config import ENVIRONMENT_PREFIX, ServerConfig
from server.metrics import Metrics

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text()


def test_the_page_lists_exactly_the_metrics_there_are() -> None:
    families = Metrics().registry.collect()
    names = {f.name + ("_total" if f.type == "counter" else "") for f in families}
    assert set(re.findall(r"`(attendant_[a-z_]+)`", PAGE)) == names


def test_every_setting_on_the_page_is_an_option() -> None:
    options = {ENVIRONMENT_PREFIX + name.upper() for name in ServerConfig.__dataclass_fields__}
    named = set(re.findall(rf"`({ENVIRONMENT_PREFIX}[A-Z_]+)`", PAGE))
    assert named
    assert named <= options
