"""A change that breaks a released client is found, and one that does not is let through."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROTOS = Path(__file__).resolve().parents[2] / "protos"
NAME = "attendant/v1/translation.proto"
OLD = """\
syntax = "proto3";
package shop.v1;
service ShopService {
  rpc Buy(BuyRequest) returns (BuyResponse);
}
message BuyRequest {
  string what = 1;
  uint32 count = 2;
  optional float price = 3;
  Colour colour = 4;
}
message BuyResponse {}
enum Colour {
  COLOUR_UNSPECIFIED = 0;
  COLOUR_RED = 1;
}
"""


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compatibility", PROTOS / "compatibility.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def changes(tool: ModuleType, tmp_path: Path) -> Callable[[str, str], list[str]]:
    """Problems after replacing a part of the file by another."""

    def compare(part: str, other: str) -> list[str]:
        assert part in OLD
        for folder, text in (("old", OLD), ("new", OLD.replace(part, other))):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "shop.proto").write_text(text)
        pair = [tool.read_proto(tmp_path / folder, "shop.proto") for folder in ("old", "new")]
        return list(tool.breaking_changes(*pair))

    return compare


@pytest.mark.parametrize(
    ("part", "other", "problem"),
    [
        ("shop.v1", "shop.v2", "package shop.v1 is called shop.v2"),
        ("string what = 1;", "", "field BuyRequest.what = 1 is gone"),
        ("string what = 1;", "reserved 1;", "field BuyRequest.what = 1 is gone"),
        ("string what", "string name", "field BuyRequest.what = 1 is called name"),
        ("what = 1", "what = 5", "field BuyRequest.what = 1 is gone"),
        ("uint32 count", "uint64 count", "field BuyRequest.count = 2 is optional uint64"),
        ("uint32 count", "repeated uint32 count", "= 2 is repeated uint32"),
        ("optional float", "float", "= 3 is optional float of implicit presence"),
        ("Colour colour", "BuyResponse colour", "field BuyRequest.colour = 4 is optional .shop"),
        ("COLOUR_RED", "COLOUR_BLUE", "value Colour.COLOUR_RED = 1 is called COLOUR_BLUE"),
        ("COLOUR_RED = 1", "COLOUR_RED = 2", "value Colour.COLOUR_RED = 1 is gone"),
        ("message BuyResponse {}", "message Answer {}\nmessage BuyResponse {}", None),
        ("returns (BuyResponse)", "returns (stream BuyResponse)", "Buy answers something else"),
        ("Buy(BuyRequest)", "Buy(stream BuyRequest)", "Buy takes something else"),
        ("rpc Buy(", "rpc Sell(", "method ShopService.Buy is gone"),
        ("service ShopService", "service Shop", "service ShopService is gone"),
        ("Colour colour = 4;", "Colour colour = 4;\n  bool gift = 5;", None),
        ("string what = 1;", 'reserved 1; reserved "what";', None),
        ("COLOUR_RED = 1;", "COLOUR_RED = 1;\n  COLOUR_BLUE = 2;", None),
    ],
)
def test_a_change_is_judged(
    changes: Callable[[str, str], list[str]], part: str, other: str, problem: str | None
) -> None:
    found = changes(part, other)
    if problem is None:
        assert found == []
    else:
        assert any(problem in line for line in found), found


def test_the_api_breaks_no_released_client(tool: ModuleType) -> None:
    assert tool.main(str(PROTOS / "released"), str(PROTOS), NAME) == 0
