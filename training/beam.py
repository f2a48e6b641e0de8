"""Beam search in PyTorch with one model or an ensemble, many sentences at once: for teachers and
for evaluation. What the server serves is searched by the server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from training.config import PAD_ID
from training.model import Transformer
from training.search import max_target_tokens, select_rows


@dataclass
class _Sentence:
    """Hypotheses of one source: those that ended, with their scores."""

    limit: int
    ended: list[tuple[float, list[int]]] = field(default_factory=list)

    def ranked(self) -> list[list[int]]:
        return [ids for _, ids in sorted(self.ended, reverse=True)]


def beam_search(
    models: Sequence[Transformer],
    sources: list[list[int]],
    beam_size: int = 5,
    length_penalty: float = 1.0,
) -> list[list[int]]:
    """The best translation of each of `sources` (token ids), its end left out; see
    `beam_candidates`.
    """
    found = beam_candidates(models, sources, beam_size, length_penalty)
    return [candidates[0] for candidates in found]


@torch.inference_mode()
def beam_candidates(
    models: Sequence[Transformer],
    sources: list[list[int]],
    beam_size: int = 5,
    length_penalty: float = 1.0,
) -> list[list[list[int]]]:
    """All translations that ended, best first, of each of `sources` (token ids), ends left out.

    Several models vote by the mean of their probabilities; they share a vocabulary. A hypothesis
    scores log probability / length ** length_penalty, its end counted (Wu et al. 2016 without the
    5); a sentence is done when `beam_size` hypotheses have ended or at its limit of tokens.
    """
    search = _Search(models, sources, beam_size, length_penalty)
    while search.is_running:
        search.step()
    return [sentence.ranked() for sentence in search.sentences]


class _Search:
    """Rows are B sentences times K hypotheses; rows of sentences that are done leave."""

    def __init__(
        self,
        models: Sequence[Transformer],
        sources: list[list[int]],
        beam_size: int,
        length_penalty: float,
    ) -> None:
        self.models, self.beam_size, self.length_penalty = models, beam_size, length_penalty
        config = models[0].config
        self.device = next(models[0].parameters()).device
        self.eos_id, self.never = config.eos_id, [config.pad_id, config.bos_id]
        self.sentences = [_Sentence(max_target_tokens(len(s), config.max_length)) for s in sources]
        self.alive = list(range(len(sources)))
        rows = [torch.tensor(s) for s in sources for _ in range(beam_size)]
        source = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD_ID)
        source = source.to(self.device)  # (B K, S)
        self.source_mask = models[0].padding_mask(source)
        once = source[::beam_size]
        self.caches = [
            [
                select_rows(cache, torch.arange(len(sources)).repeat_interleave(beam_size))
                for cache in model.start_cache(model.encode(once, model.padding_mask(once)))
            ]
            for model in models
        ]
        self.tokens = torch.full((len(rows), 1), config.bos_id, device=self.device)  # (B K, t)
        self.scores = torch.full((len(sources), beam_size), -torch.inf, device=self.device)
        self.scores[:, 0] = 0.0  # all hypotheses of a sentence are the same at first: one counts

    @property
    def is_running(self) -> bool:
        return bool(self.alive)

    def step(self) -> None:
        """One more token for every hypothesis."""
        num_alive, beam = len(self.alive), self.beam_size
        candidates = self.scores.flatten()[:, None] + self._log_probabilities()  # (B K, V)
        vocabulary = candidates.size(1)
        best, index = candidates.view(num_alive, -1).topk(2 * beam)  # (B, 2 K)
        length = self.tokens.size(1)  # of the candidates, their end counted
        keep_rows, keep_tokens, keep_scores, still = [], [], [], []
        for i, (scores, places) in enumerate(zip(best.tolist(), index.tolist(), strict=True)):
            sentence = self.sentences[self.alive[i]]
            pairs = [
                (s, i * beam + p // vocabulary, p % vocabulary)
                for s, p in zip(scores, places, strict=True)
            ]
            going_on = self._end_some(sentence, pairs, length)
            if len(sentence.ended) < beam and length < sentence.limit:
                still.append(self.alive[i])
                keep_rows += [row for _, row, _ in going_on]
                keep_tokens += [token for _, _, token in going_on]
                keep_scores.append([score for score, _, _ in going_on])
        self.alive = still
        if still:
            self._advance(keep_rows, keep_tokens, keep_scores)

    def _end_some(
        self, sentence: _Sentence, pairs: list[tuple[float, int, int]], length: int
    ) -> list[tuple[float, int, int]]:
        """Notes the hypotheses that end here, best first; returns the K best that go on."""
        going_on: list[tuple[float, int, int]] = []
        for rank, (score, row, token) in enumerate(pairs):
            is_last = length >= sentence.limit
            if token == self.eos_id or is_last:
                if rank < self.beam_size and score > -torch.inf:
                    ids = self.tokens[row, 1:].tolist() + ([] if token == self.eos_id else [token])
                    sentence.ended.append((score / length**self.length_penalty, ids))
            elif len(going_on) < self.beam_size:
                going_on.append((score, row, token))
        return going_on

    def _log_probabilities(self) -> Tensor:
        """Log of the models' mean probability of each next token, float (B K, V)."""
        probabilities: Tensor | float = 0.0
        for i, model in enumerate(self.models):
            logits, self.caches[i] = model.decode_step(
                self.tokens[:, -1:], self.caches[i], self.source_mask
            )
            last = logits[:, -1].float()
            last[:, self.never] = -torch.inf
            probabilities = probabilities + torch.softmax(last, dim=-1) / len(self.models)
        return torch.log(torch.as_tensor(probabilities))

    def _advance(self, rows: list[int], tokens: list[int], scores: list[list[float]]) -> None:
        picked = torch.tensor(rows, device=self.device)
        added = torch.tensor(tokens, device=self.device)[:, None]
        self.tokens = torch.cat([self.tokens[picked], added], dim=1)
        self.scores = torch.tensor(scores, device=self.device)
        self.source_mask = self.source_mask[picked]
        self.caches = [[select_rows(cache, picked) for cache in caches] for caches in self.caches]
