"""The options of `attendant translate` that say how to translate, and the columns they print."""

import argparse

from attendant.cli.arguments import positive_count, positive_number
from attendant.cli.formats.txt import Txt, one_line
from attendant.cli.formats.unit import Format
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
    output = parser.add_argument_group("what is written")
    output.add_argument(
        "--stream", action="store_true", help="write each line as it grows, one after another"
    )
    output.add_argument(
        "--scores", action="store_true", help="a column with the score, after a tab"
    )
    output.add_argument(
        "--alignment", action="store_true", help='a column with links between words, as "0-0 1-2"'
    )
    output.add_argument("--json", action="store_true", help="a line of JSON for each text")


def read_options(arguments: argparse.Namespace, form: Format) -> Options:
    """Returns what the command line asks for; raises `CommandError` for what excludes itself."""
    _check(arguments, form)
    return Options(
        beam_size=arguments.beam_size,
        num_hypotheses=arguments.num_hypotheses if arguments.num_hypotheses > 1 else None,
        sampling=_sampling(arguments),
        priority=Priority(arguments.priority),
        scores=arguments.scores,
        alignment=arguments.alignment,
        split_sentences=arguments.split_sentences or form.is_document,
    )


def _check(arguments: argparse.Namespace, form: Format) -> None:
    has_details = arguments.num_hypotheses > 1 or arguments.scores or arguments.alignment
    is_text = isinstance(form, Txt)
    wrong = {
        "--stream: writes one translation a line": arguments.stream
        and (arguments.num_hypotheses > 1 or arguments.json or not is_text),
        "--stream: writes to standard output": arguments.stream and arguments.output,
        "--stream: translates sentences, it cannot split": arguments.stream
        and arguments.split_sentences,
        "--json: is for lines, not for documents": arguments.json and form.is_document,
        "--num-hypotheses, --scores, --alignment: are for txt, or with --json": has_details
        and not (is_text or arguments.json),
    }
    for message, is_wrong in wrong.items():
        if is_wrong:
            raise CommandError(message, ExitCode.USAGE)


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
