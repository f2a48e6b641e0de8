"""CTranslate2's search on token ids, with our checkpoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ctranslate2

from tests.peers import PeerHypothesis


@dataclass(frozen=True)
class CTranslate2Options:
    """Arguments of `translate_batch`. Lengths count a forced prefix; only the maximum counts the
    end of sentence.
    """

    max_decoding_length: int
    min_decoding_length: int = 0
    """CTranslate2's own default is 1, which forbids an empty translation."""
    beam_size: int = 1
    patience: float = 1.0
    num_hypotheses: int = 1
    length_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0
    return_attention: bool = False


class CTranslate2Model:
    """A converted model, on one thread."""

    def __init__(self, folder: Path, pad_id: int = 0, bos_id: int = 1) -> None:
        self.translator = ctranslate2.Translator(
            str(folder), device="cpu", compute_type="float32", inter_threads=1, intra_threads=1
        )
        self.pieces: list[str] = json.loads((folder / "shared_vocabulary.json").read_text("utf-8"))
        self._ids = {piece: i for i, piece in enumerate(self.pieces)}
        self._suppressed = [[self.pieces[pad_id]], [self.pieces[bos_id]]]

    def translate(
        self,
        sources: Sequence[Sequence[int]],
        options: CTranslate2Options,
        prefixes: Sequence[Sequence[int]] | None = None,
    ) -> list[list[PeerHypothesis]]:
        """The best translations of each of `sources`, each after its own forced prefix. Padding
        and the start token are never chosen. A score is the log-probability of what was not forced
        over a power of the length of everything, the prefix and the end of sentence included.

        All share one batch, unless attention is asked for: in a batch, CTranslate2 4.8.5 takes the
        first token's attention in beam search from another sentence.
        """
        prefixes = prefixes or [()] * len(sources)
        results = self.translator.translate_batch(
            self._spell(sources),
            target_prefix=self._spell(prefixes),
            max_batch_size=1 if options.return_attention else 0,
            beam_size=options.beam_size,
            patience=options.patience,
            num_hypotheses=options.num_hypotheses,
            length_penalty=options.length_penalty,
            repetition_penalty=options.repetition_penalty,
            no_repeat_ngram_size=options.no_repeat_ngram_size,
            suppress_sequences=self._suppressed,
            return_end_token=True,
            max_decoding_length=options.max_decoding_length,
            min_decoding_length=options.min_decoding_length,
            return_scores=True,
            return_attention=options.return_attention,
        )
        return [
            self._hypotheses(result, len(prefix))
            for result, prefix in zip(results, prefixes, strict=True)
        ]

    def log_probs(
        self, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[int]]
    ) -> list[list[float]]:
        """Of each token of `targets` after those before it, and of the end of sentence at last,
        over the whole vocabulary.
        """
        results = self.translator.score_batch(self._spell(sources), self._spell(targets))
        return [list(result.log_probs) for result in results]

    def _spell(self, rows: Sequence[Sequence[int]]) -> list[list[str]]:
        return [[self.pieces[i] for i in row] for row in rows]

    def _hypotheses(
        self, result: ctranslate2.TranslationResult, num_forced: int
    ) -> list[PeerHypothesis]:
        attentions = result.attention or [[]] * len(result.hypotheses)
        return [
            PeerHypothesis(
                tuple(self._ids[piece] for piece in pieces[num_forced:]),
                score,
                tuple(tuple(row) for row in attention[num_forced:]),
            )
            for pieces, score, attention in zip(
                result.hypotheses, result.scores, attentions, strict=True
            )
        ]
