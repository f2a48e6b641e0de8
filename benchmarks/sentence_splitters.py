"""Libraries that find sentences, on the same paragraphs: how many come out right, and how fast.

    pip install pysbd==0.3.4 sentence-splitter==1.4 blingfire==0.1.8 syntok==1.4.4
    python -m benchmarks.sentence_splitters

Those that are not installed are left out. The last row is what the server uses: sentencex with
server/text/boundaries.py around it.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import sys
import time
from collections.abc import Callable

from benchmarks.sentence_cases import CASES, HELD_OUT
from server.text.boundaries import BoundaryFinder

Splitter = Callable[[str, str], list[str]]
"""Sentences of a text in a language, white space at their edges not counted."""
UNSPACED = ("zh", "ja")
SPACED = ("en", "de", "fr", "cs")
ROUNDS = 5


def sentencex() -> Splitter:
    library = importlib.import_module("sentencex")
    return lambda text, language: [
        found["text"] for found in library.get_sentence_boundaries(language, text)
    ]


def pysbd() -> Splitter:
    library = importlib.import_module("pysbd")
    # It has no Czech; Slovak is the nearest.
    segmenter = functools.cache(
        lambda language: library.Segmenter(language={"cs": "sk"}.get(language, language))
    )
    return lambda text, language: list(segmenter(language).segment(text))


def sentence_splitter() -> Splitter:
    library = importlib.import_module("sentence_splitter")
    splitter = functools.cache(lambda language: library.SentenceSplitter(language=language))
    return lambda text, language: list(splitter(language).split(text))


def blingfire() -> Splitter:
    library = importlib.import_module("blingfire")
    return lambda text, language: str(library.text_to_sentences(text)).split("\n")


def syntok() -> Splitter:
    library = importlib.import_module("syntok.segmenter")

    def split(text: str, language: str) -> list[str]:
        sentences = itertools.chain.from_iterable(library.process(text))
        return ["".join(token.spacing + token.value for token in words) for words in sentences]

    return split


def served() -> Splitter:
    def split(text: str, language: str) -> list[str]:
        edges = [0, *BoundaryFinder(language).starts(text), len(text)]
        return [text[a:b] for a, b in itertools.pairwise(edges)]

    return split


def num_right(split: Splitter, cases: list[str], language: str) -> int:
    """Paragraphs that are split exactly as they should be."""
    right = 0
    for case in cases:
        sentences = case.split("|")
        found = [part.strip() for part in split(joined(sentences, language), language)]
        right += [part for part in found if part] == sentences
    return right


def joined(sentences: list[str], language: str) -> str:
    return ("" if language in UNSPACED else " ").join(sentences)


def microseconds(split: Splitter) -> float:
    """Processor time of a sentence in the languages with spaces, least of several rounds."""
    texts = [(joined(c.split("|"), tag), tag) for tag in SPACED for c in CASES[tag]]
    num_sentences = sum(c.count("|") + 1 for tag in SPACED for c in CASES[tag])
    times = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for text, language in texts:
            split(text, language)
        times.append(time.process_time() - begun)
    return min(times) / num_sentences * 1e6


def row(name: str, split: Splitter) -> str:
    cells = [name]
    for cases in (CASES, HELD_OUT):
        for language, paragraphs in cases.items():
            try:
                cells.append(f"{num_right(split, paragraphs, language)}/{len(paragraphs)}")
            except Exception:  # the library has not this language, and says so in its own way
                cells.append("-")
    return " | ".join([*cells, f"{microseconds(split):.1f}"])


def main() -> int:
    print(
        " | ".join(["library", *CASES, *(f"{tag} held out" for tag in HELD_OUT), "µs a sentence"])
    )
    for make in (sentencex, pysbd, sentence_splitter, blingfire, syntok, served):
        try:
            print(row(make.__name__, make()), flush=True)
        except ModuleNotFoundError as error:
            print(f"{make.__name__}: {error}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
