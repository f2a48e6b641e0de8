"""Packages that somebody made to reach what is not theirs: paths, links, and files without end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demos.bundled import PACKAGE as BUNDLED
from server.errors import PackageError
from server.files import MAX_MANIFEST_BYTES
from server.package import MANIFEST_FILE, _seal, open_package

SECRET = b"a secret"
Document = dict[str, Any]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy to change, `multi30k/VERSION`; a secret is beside it."""
    (tmp_path / "secret").write_bytes(SECRET)
    return Path(shutil.copytree(BUNDLED, tmp_path / "multi30k" / BUNDLED.name))


def seal_anew(package: Path, change: Callable[[Document], object]) -> None:
    """Edits the manifest as whoever makes a package of its own can."""
    path = package / MANIFEST_FILE
    document = json.loads(path.read_text(encoding="utf-8"))
    del document["seal"]
    change(document)
    document["seal"] = _seal(document)
    path.write_text(json.dumps(document), encoding="utf-8")


def listed(package: Path, path: str, content: bytes = SECRET) -> None:
    """Lists `path` in the manifest, with the hash of what is there."""
    digest = hashlib.sha256(content).hexdigest()
    seal_anew(package, lambda document: document["files"].update({path: digest}))


def refused(package: Path) -> str:
    with pytest.raises(PackageError) as caught:
        open_package(package).check_files()
    return str(caught.value)


def test_a_changed_package_that_stays_at_home_is_opened(package: Path) -> None:
    (package / "extra").write_bytes(SECRET)
    listed(package, "extra")
    open_package(package).check_files()


@pytest.mark.parametrize("path", ["../../secret", "{outside}/secret", "cpu-int8/../../../secret"])
def test_a_path_out_of_the_package_is_not_read(package: Path, path: str) -> None:
    path = path.format(outside=package.parents[1])
    listed(package, path)
    assert refused(package) == f"{package / path}: it is not inside the package"


@pytest.mark.parametrize("target", ["../../secret", "{outside}/secret"])
def test_a_link_out_of_the_package_is_not_followed(package: Path, target: str) -> None:
    (package / "extra").symlink_to(target.format(outside=package.parents[1]))
    listed(package, "extra")
    assert refused(package) == f"{package / 'extra'}: it is not inside the package"


def test_a_linked_folder_out_of_the_package_is_not_followed(package: Path) -> None:
    (package / "extra").symlink_to(package.parents[1])
    listed(package, "extra/secret")
    assert refused(package) == f"{package / 'extra/secret'}: it is not inside the package"


def test_a_manifest_that_is_a_link_out_of_the_package_is_not_followed(package: Path) -> None:
    (package / MANIFEST_FILE).rename(package.parent / MANIFEST_FILE)
    (package / MANIFEST_FILE).symlink_to(package.parent / MANIFEST_FILE)
    assert refused(package) == f"{package / MANIFEST_FILE}: it is not inside the package"


def test_links_inside_are_followed_as_of_mounted_volumes(package: Path) -> None:
    (package / "..data").mkdir()
    (package / "README.md").rename(package / "..data" / "README.md")
    (package / "README.md").symlink_to("..data/README.md")
    open_package(package).check_files()
    linked = package.parent / "other"
    linked.symlink_to(package)
    open_package(linked).check_files()


def test_what_is_no_plain_file_is_not_waited_for(package: Path) -> None:
    os.mkfifo(package / "extra")
    listed(package, "extra")
    assert refused(package) == f"{package / 'extra'}: it is no plain file"


@pytest.mark.parametrize("path", ["a\0b", "loop", "", "."])
def test_a_name_that_no_file_can_have_is_an_error_of_the_package(package: Path, path: str) -> None:
    (package / "loop").symlink_to("loop")
    listed(package, path)
    assert refused(package).startswith(str(package))


@pytest.mark.parametrize("name", [7, None, [], {}])
def test_a_variant_whose_file_is_no_name_is_refused(package: Path, name: object) -> None:
    seal_anew(package, lambda document: document["variants"]["cpu-int8"].update(encoder=name))
    assert "variant cpu-int8 needs" in refused(package)


def test_a_manifest_that_is_too_large_is_not_read(package: Path) -> None:
    with (package / MANIFEST_FILE).open("r+b") as file:
        file.truncate(MAX_MANIFEST_BYTES + 1)  # a hole: it takes no room
    assert refused(package).endswith(f"it has more than {MAX_MANIFEST_BYTES} bytes")


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"a":' * 100_000])
def test_a_manifest_that_is_nested_too_deeply_is_refused(package: Path, content: bytes) -> None:
    (package / MANIFEST_FILE).write_bytes(content)
    assert refused(package) == f"{package / MANIFEST_FILE}: nested too deeply"
