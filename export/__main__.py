"""python -m export CHECKPOINT PACKAGE_DIR: exports, verifies, and writes a package NAME/VERSION/ if
the evidence holds.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.build import ExportOptions, build_package
from export.to_onnx import PRECISIONS
from server.errors import ConfigError, PackageError
from training.aligned import CorpusError
from training.checkpoint import CheckpointError


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 when a package was written, 1 if the evidence failed, 2 for bad
    input.
    """
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument(
        "checkpoint", type=Path, help="model.safetensors, its tokenizer.model beside it"
    )
    parser.add_argument("package", type=Path, help="folder to write, .../NAME/VERSION")
    parser.add_argument(
        "--variants", default="cpu-int8,cpu-fp32", help="variants to export and verify"
    )
    parser.add_argument("--ship", default="", help="variants to keep in the package (default: all)")
    parser.add_argument("--default-variant", default="cpu-int8")
    parser.add_argument("--data-root", default="", help="folder of Multi30k's files")
    parser.add_argument("--notes", default="", help="a Markdown file to append to the model card")
    options = parser.parse_args(arguments)
    variants, shipped = _names(options.variants), _names(options.ship)
    for name in (*variants, *shipped, options.default_variant):
        if name not in PRECISIONS:
            parser.error(f"unknown variant {name!r}: there are {', '.join(PRECISIONS)}")
    for name in shipped:
        if name not in variants:
            parser.error(f"--ship {name} is not among the variants exported")
    if options.default_variant not in (shipped or variants):
        parser.error(f"--default-variant {options.default_variant} is not among the variants kept")
    request = ExportOptions(
        checkpoint=options.checkpoint,
        output=options.package.resolve(),
        variants=variants,
        shipped=shipped,
        default_variant=options.default_variant,
        data_root=options.data_root,
        notes=options.notes,
    )
    return _run(request)


def _names(value: str) -> tuple[str, ...]:
    return tuple(name for name in value.split(",") if name)


def _run(options: ExportOptions) -> int:
    try:
        print(f"wrote {build_package(options)}")
    except PackageError as error:
        print(f"error: no package written: {error}", file=sys.stderr)
        return 1
    except (CheckpointError, ConfigError, CorpusError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
