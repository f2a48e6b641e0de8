"""SentencePiece at serving time: text to ids for the encoder, ids back to text."""

from __future__ import annotations

import sentencepiece

from server.package import SpecialIds


class Tokenizer:
    """One package's tokenizer."""

    def __init__(self, model: bytes, special_ids: SpecialIds) -> None:
        """`model` is the content of tokenizer.model."""
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._ids = special_ids

    def encode(self, text: str, target_language: str) -> list[int]:
        """The source as the model was trained to read it: the target language's tag, pieces, end of
        sentence.
        """
        return [
            self._ids.language_tags[target_language],
            *self._processor.encode(text),
            self._ids.eos,
        ]

    def decode(self, token_ids: list[int]) -> str:
        """The text of generated ids."""
        return str(self._processor.decode(token_ids))
