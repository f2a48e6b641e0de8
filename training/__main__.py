"""python -m training CONFIG.yaml [section.field=value ...]: trains the recipe, or continues it.

Several processes, on one host or more, train one model under torchrun: `torchrun --nproc-per-node
2 -m training CONFIG.yaml`. What is done to finished checkpoints is a command of its own: average,
evaluate, distill, paraphrase, phrases, publish, report (`python -m training COMMAND --help`).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from training import commands, report
from training.aligned import CorpusError
from training.checkpoint import CheckpointError
from training.config import ConfigError
from training.recipe import load_config
from training.run import run

COMMANDS = {
    "average": commands.average,
    "evaluate": commands.evaluate,
    "distill": commands.distill,
    "paraphrase": commands.make_paraphrases,
    "phrases": commands.make_phrases,
    "publish": commands.publish_checkpoint,
    "report": report.main,
}


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 when done, 2 for a wrong recipe, corpus or checkpoint, or a full
    disk.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        _train(arguments)
    except (ConfigError, CorpusError, CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


def _train(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "config", type=Path, help="a recipe, such as training/configs/multi30k.yaml"
    )
    parser.add_argument("overrides", nargs="*", metavar="section.field=value")
    options = parser.parse_args(arguments)
    run(load_config(options.config, options.overrides))


if __name__ == "__main__":
    sys.exit(main())
