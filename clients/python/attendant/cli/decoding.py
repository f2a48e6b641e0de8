"""The options of `attendant translate` that say how to translate, and the columns they print."""

import argparse

from attendant.cli.arguments import positive_count, positive_number
from attendant.cli.outcome import CommandError, ExitCode
from attendant.options import Options, Priority, Sampling
from attendant.translation import Hypothesis, Translation


def add_decoding(parser: argparse.ArgumentParser) -> None:
    """Adds the options; what they may be is the server's to judge."""
    search = parser.add_argument_group("search")
    search.add_argument(
        "--beam-size", type=positive_count, metavar="N", help="beam search; greedy without it"
    )
    search.add_argument(
        "--num-hypotheses",
        type=positive_count,
        default=1,
        metavar="N",
        help="translations of each line, of a beam or samples; their lines begin with its number",
    )
    search.add_argument(
        "--sample", action="store_true", help="draw tokens; the next four options do so too"
    )
    search.add_argument("--temperature", type=positive_number, metavar="T")
    search.add_argument("--top-k", type=int, metavar="K")
    search.add_argument("--top-p", type=positive_number, metavar="P")
    search.add_argument("--seed", type=int, metavar="N", help="the same seed, the same text")
    parser.add_argument(
        "--priority",
        choices=[priority.value for priority in Priority],
        default=Priority.STANDARD.value,
        help="how urgent it is (default: %(default)s)",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--stream", action="store_true", help="write each line as it grows, one after another"
    )
    output.add_argument(
        "--scores", action="store_true", help="a column with the score, after a tab"
    )
    output.add_argument(
        "--alignment", action="store_true", help='a column with links between words, as "0-0 1-2"'
    )


def read_options(arguments: argparse.Namespace) -> Options:
    """Returns what the command line asks for; raises `CommandError` for what excludes itself."""
    if arguments.stream and arguments.num_hypotheses > 1:
        raise CommandError("--stream: writes one translation a line", ExitCode.USAGE)
    return Options(
        beam_size=arguments.beam_size,
        num_hypotheses=arguments.num_hypotheses if arguments.num_hypotheses > 1 else None,
        sampling=_sampling(arguments),
        priority=Priority(arguments.priority),
        scores=arguments.scores,
        alignment=arguments.alignment,
    )


def _sampling(arguments: argparse.Namespace) -> Sampling | None:
    sampling = Sampling(
        temperature=arguments.temperature,
        top_k=arguments.top_k,
        top_p=arguments.top_p,
        seed=arguments.seed,
    )
    return sampling if arguments.sample or sampling != Sampling() else None


def format_translation(translation: Translation, number: int, options: Options) -> str:
    """Returns the lines of the `number`-th text, without the last one's end."""
    if options.num_hypotheses is None:
        return one_line(translation.text) + columns_of(translation, options)
    hypotheses = translation.hypotheses or [_bare(translation)]
    return "\n".join(
        f"{number}\t{one_line(hypothesis.text)}{_columns(hypothesis, options)}"
        for hypothesis in hypotheses
    )


def columns_of(translation: Translation, options: Options) -> str:
    """Returns the columns after the text of the best hypothesis, each after a tab."""
    return _columns((translation.hypotheses or [_bare(translation)])[0], options)


def one_line(text: str) -> str:
    """Returns the text without what ends a line or a column.

    Whoever reads counts lines: a break within a translation would shift all that follow.
    """
    return text.replace("\r", " ").replace("\n", " ").replace("\t", " ")


def _bare(translation: Translation) -> Hypothesis:
    """The only hypothesis of an empty text: the server sends none."""
    return Hypothesis(translation.text, translation.finish_reason)


def _columns(hypothesis: Hypothesis, options: Options) -> str:
    columns = []
    if options.scores:
        columns.append("" if hypothesis.score is None else f"{hypothesis.score:.4f}")
    if options.alignment:
        columns.append("" if hypothesis.alignment is None else hypothesis.alignment.words)
    return "".join(f"\t{column}" for column in columns)
