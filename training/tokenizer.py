"""Trains and reads the SentencePiece model, the only tokenizer artefact: a joint vocabulary for all
languages.

The target language is told to the model by a tag at the start of the source, `<2de>`. Tags are
control symbols,
which no text can spell.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from training.config import BOS_ID, EOS_ID, PAD_ID, UNK_ID, ConfigError, DataConfig
from training.segmentation import SegmentationSampler


def language_tag(language: str) -> str:
    """The control symbol that asks for `language`."""
    return f"<2{language}>"


def train_tokenizer(sentences: Iterable[str], data: DataConfig, path: Path) -> None:
    """Learns a unigram model (Kudo 2018) over `sentences` and writes it to `path`.

    Raises ConfigError where the vocabulary cannot hold the text's characters.
    """
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences),
            model_writer=model,
            model_type="unigram",
            vocab_size=data.vocabulary_size,
            hard_vocab_limit=False,
            character_coverage=1.0,
            byte_fallback=data.is_byte_fallback,
            pad_id=PAD_ID,
            bos_id=BOS_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            control_symbols=[language_tag(language) for language in data.languages],
            num_threads=2,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ConfigError(f"data.vocabulary_size is {data.vocabulary_size}: {error}") from error
    path.write_bytes(model.getvalue())


class Tokenizer:
    """Text to ids and back, for training."""

    def __init__(self, path: Path) -> None:
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(path))

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self._processor.get_piece_size())

    def piece_id(self, piece: str) -> int:
        """The id of one piece of the vocabulary, such as a tag."""
        return int(self._processor.piece_to_id(piece))

    @property
    def pieces(self) -> list[str]:
        """Every piece as it is spelled, by id."""
        return [self._processor.id_to_piece(i) for i in range(self.vocabulary_size)]

    def has_tag(self, language: str) -> bool:
        """Whether a model with this tokenizer can be asked for `language`."""
        tag = language_tag(language)
        return bool(self._processor.id_to_piece(self.piece_id(tag)) == tag)

    def is_control(self, piece: str) -> bool:
        """Whether `piece` is a control symbol, such as a tag."""
        return bool(self._processor.is_control(self.piece_id(piece)))

    def tag(self, language: str) -> int:
        """The id of the tag that asks for `language`. Raises ConfigError if there is none."""
        if not self.has_tag(language):
            raise ConfigError(f"data.languages: the tokenizer has no tag {language_tag(language)}")
        return self.piece_id(language_tag(language))

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The most probable pieces of each text, neither tag nor end added."""
        ids: list[list[int]] = self._processor.encode(texts)
        return ids

    def sampler(self, alpha: float) -> SegmentationSampler:
        """Cuts text in varying ways, drawn with probability ~ p^alpha."""
        return SegmentationSampler(self._processor, alpha)

    def encode_source(self, text: str, target_language: str) -> list[int]:
        """Tag, pieces, end of sentence."""
        return [self.tag(target_language), *self._processor.encode(text), EOS_ID]

    def encode_target(self, text: str) -> list[int]:
        """Beginning of sentence, pieces, end of sentence."""
        return [BOS_ID, *self._processor.encode(text), EOS_ID]

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`; control symbols have none."""
        return str(self._processor.decode(ids))
