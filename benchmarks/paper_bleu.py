"""BLEU as the Multi30k papers report it, for comparison with their tables and with nothing else.

Lower-cased, punctuation normalised, Moses-tokenised, then scored on tokens, against the data set's
own
tokenised reference or, where that is not at hand, a reference treated the same way (Elliott et al.
2016).
"""

from __future__ import annotations

from sacrebleu.metrics import BLEU
from sacremoses import MosesPunctNormalizer, MosesTokenizer


def tokenize(lines: list[str], language: str) -> list[str]:
    """`lines` in the form the papers score."""
    normalizer, tokenizer = MosesPunctNormalizer(lang=language), MosesTokenizer(lang=language)
    return [
        tokenizer.tokenize(normalizer.normalize(line.lower()), return_str=True) for line in lines
    ]


def paper_bleu(hypotheses: list[str], references: list[str], language: str) -> float:
    """Corpus BLEU of `hypotheses` (detokenised, cased) in percent."""
    metric = BLEU(tokenize="none", force=True)
    tokenized = [tokenize(references, language)]
    return float(metric.corpus_score(tokenize(hypotheses, language), tokenized).score)
