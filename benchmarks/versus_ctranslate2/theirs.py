"""CTranslate2 on the same list of sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import ctranslate2

from benchmarks.versus_ctranslate2.workload import Sentence, Setup


class Theirs:
    """A translator of one setup, loaded."""

    def __init__(self, folder: Path, setup: Setup) -> None:
        """`folder` is a converted model's."""
        self._setup = setup
        self._translator = ctranslate2.Translator(
            str(folder),
            device="cpu",
            compute_type=setup.compute_type,
            inter_threads=setup.workers,
            intra_threads=setup.threads,
        )
        pieces = json.loads((folder / "shared_vocabulary.json").read_text("utf-8"))
        self._pieces: list[str] = pieces
        self._ids = {piece: i for i, piece in enumerate(pieces)}

    def translate(
        self, sentences: Sequence[Sentence], beam_size: int, in_flight: int
    ) -> list[list[int]]:
        """The best translation of each, in token ids without the end of sentence.

        CTranslate2 sorts what it is given by length and cuts it into batches of the setup's size,
        which go to its workers: more than it would know of 64 callers, and its best.
        """
        texts = [[self._pieces[i] for i in sentence.source] for sentence in sentences]
        if in_flight > 1:
            return self._decode(sentences, texts, beam_size)
        return [
            self._decode([sentence], [text], beam_size)[0]
            for sentence, text in zip(sentences, texts, strict=True)
        ]

    def _decode(
        self, sentences: Sequence[Sentence], texts: list[list[str]], beam_size: int
    ) -> list[list[int]]:
        results = self._translator.translate_batch(
            texts,
            max_batch_size=self._setup.batch_size,
            beam_size=beam_size,
            max_decoding_length=max(sentence.most for sentence in sentences),
            min_decoding_length=min(sentence.least for sentence in sentences),
        )
        return [[self._ids[piece] for piece in result.hypotheses[0]] for result in results]
