"""Multi30k by name: fetched from its public repository into the user's cache, or read from a
folder, and always checked against the SHA-256 written here.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from training.aligned import CorpusError

MULTI30K_URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw/"
"""The data set's public repository (Elliott et al. 2016)."""

MULTI30K_SHA256 = {
    "test_2016_flickr.cs.gz": "200a4a74cc9560f051924abb9803be008d1908d77f747e9141aeb86dfd2797f1",
    "test_2016_flickr.de.gz": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en.gz": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr.gz": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "train.cs.gz": "a65adb8b32e3bc664f21ecba7a6e7f6950fd1f405e135f7c312faabdb6255077",
    "train.de.gz": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en.gz": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr.gz": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "val.cs.gz": "b63226e05c4bd5dd6a42897d74b86a1b9d2c31498252c572b1ea7f7996927fcc",
    "val.de.gz": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en.gz": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr.gz": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
}
"""Of every file this project reads; a file that differs is refused."""


def multi30k_file(name: str, root: str = "", url: str = MULTI30K_URL) -> Path:
    """The checked file `name` of Multi30k: from the folder `root`, or fetched from `url` into the
    user's cache.

    Raises CorpusError if the file is unknown, missing, cannot be fetched, or has another SHA-256.
    """
    if name not in MULTI30K_SHA256:
        raise CorpusError(
            f"Multi30k has no file {name}: it has {', '.join(sorted(MULTI30K_SHA256))}"
        )
    path = Path(root) / name if root else _cache_folder() / name
    if not path.exists() and not root:
        _fetch(url + name, path, MULTI30K_SHA256[name])
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CorpusError(f"{path}: {error.strerror}") from error
    if found != MULTI30K_SHA256[name]:
        raise CorpusError(f"{path}: SHA-256 is {found}, expected {MULTI30K_SHA256[name]}")
    return path


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "attendant" / "multi30k"


def _fetch(url: str, path: Path, sha256: str) -> None:
    """Fetches `url` to `path`; nothing is left there unless its hash is right."""
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            content = response.read()
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()  # it holds the connection
        raise CorpusError(
            f"{url}: {error}. Set data.root to a folder that has the files"
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CorpusError(f"{url}: SHA-256 is {found}, expected {sha256}")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(content)
    partial.replace(path)
