"""SentencePiece at serving time: text to ids for the encoder, ids back to text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass

import sentencepiece

from server.errors import PackageError
from server.package import TOKENIZER_FILE, SpecialIds

Span = tuple[int, int]
"""First character, and the one after the last."""


@dataclass(frozen=True)
class TokenizedText:
    """A text and where its tokens lie in it."""

    text: str
    pieces: list[str]
    spans: list[Span]
    """Empty for a byte that completes no character, and for special tokens."""


class Tokenizer:
    """One package's tokenizer."""

    def __init__(self, model: bytes, special_ids: SpecialIds) -> None:
        """`model` is the content of tokenizer.model. Raises PackageError for what is none."""
        self._processor = _load(model, special_ids)
        self._ids = special_ids
        self._special = {
            special_ids.pad,
            special_ids.bos,
            special_ids.eos,
            *special_ids.language_tags.values(),
        }

    def encode(self, text: str, target_language: str) -> list[int]:
        """The source as the model was trained to read it: the target language's tag, pieces, end of
        sentence.
        """
        return [self._ids.language_tags[target_language], *self.encode_target(text), self._ids.eos]

    def encode_target(self, text: str) -> list[int]:
        """The pieces of a text alone, as a target begins with them."""
        ids: list[int] = self._processor.encode(text)
        return ids

    def locate_source(self, text: str, target_language: str) -> TokenizedText:
        """The tokens of `encode`, and where they lie in `text`."""
        mapping = self._processor.encode(text, return_type="offset_mapping")
        tag = self.piece(self._ids.language_tags[target_language])
        end, length = self.piece(self._ids.eos), len(text)
        pieces = [tag, *mapping["pieces"], end]
        return TokenizedText(text, pieces, [(0, 0), *mapping["offsets"], (length, length)])

    def locate_target(self, token_ids: list[int]) -> TokenizedText:
        """The text of `token_ids`, and where each of them lies in it."""
        mapping = self._processor.decode(token_ids, return_type="offset_mapping")
        return TokenizedText(mapping["text"], mapping["pieces"], mapping["offsets"])

    def decode(self, token_ids: Sequence[int]) -> str:
        """The text of generated ids."""
        return str(self._processor.decode(list(token_ids)))

    def decode_whole(self, token_ids: Sequence[int]) -> str:
        """The text of generated ids as far as no further id can change it: without the bytes of a
        character that is not complete.
        """
        num_pending = self._num_pending_bytes(token_ids)
        return self.decode(token_ids[: len(token_ids) - num_pending])

    def _num_pending_bytes(self, token_ids: Sequence[int]) -> int:
        tail: list[int] = []
        for token in reversed(token_ids):
            if not self._processor.is_byte(token):
                break
            tail.append(int(self.piece(token)[1:-1], 16))
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        decoder.decode(bytes(reversed(tail)))
        return len(decoder.getstate()[0])

    def piece(self, token_id: int) -> str:
        """The piece of an id."""
        return str(self._processor.id_to_piece(token_id))

    def id_of(self, piece: str) -> int | None:
        """The id of a piece; None where there is no such piece."""
        token_id = int(self._processor.piece_to_id(piece))
        is_known = token_id != self._ids.unk or piece == self.piece(self._ids.unk)
        return token_id if is_known else None

    def find(self, piece: str) -> int | None:
        """The id of a piece that text can consist of; None where there is no such piece."""
        token_id = self.id_of(piece)
        return token_id if token_id not in self._special else None


def _load(model: bytes, ids: SpecialIds) -> sentencepiece.SentencePieceProcessor:
    if not model:  # it would be taken, and fail when it is used
        raise PackageError(f"{TOKENIZER_FILE}: it is empty")
    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise PackageError(f"{TOKENIZER_FILE}: no SentencePiece model: {error}") from error
    size = processor.get_piece_size()
    special = {"pad": ids.pad, "bos": ids.bos, "eos": ids.eos, "unk": ids.unk, **ids.language_tags}
    for name, token_id in special.items():
        if not 0 <= token_id < size:
            problem = f"it has {size} pieces, and the id of {name} is {token_id}"
            raise PackageError(f"{TOKENIZER_FILE}: {problem}")
    return processor
