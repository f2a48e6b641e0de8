"""Makes the calls that translate units. Knows neither files nor how translations are written."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TypeVar

from attendant.async_client import AsyncClient
from attendant.cli.backoff import Backoff, while_overloaded
from attendant.cli.formats.unit import Unit
from attendant.cli.outcome import error_of_call
from attendant.errors import AttendantError
from attendant.options import Options
from attendant.translation import FinishReason, Translation, TranslationPart

T = TypeVar("T")

_PIECES_A_CALL = 64


@dataclass(frozen=True, slots=True)
class Direction:
    """What translates, and between which languages."""

    source_language: str
    target_language: str
    model: str


class Caller:
    """Translates units. Every failure is a `CommandError` that names the unit's place."""

    def __init__(self, client: AsyncClient, direction: Direction, options: Options) -> None:
        self._client = client
        self._direction = direction
        self._options = options

    async def translate(self, unit: Unit, text: str) -> Translation:
        """Translates the text of a unit.

        Its marks come back as they are. Where the model does not keep them by itself, the pieces
        between them are translated one by one.
        """
        if unit.marks is None or unit.marks.search(text) is None:
            return await self._whole(unit, text)
        pieces, marks = _cut(text, unit.marks)
        if not any(map(_has_letters, pieces)):
            return Translation(text, FinishReason.EMPTY, source_tokens=0, target_tokens=0)
        translation = await self._whole(unit, text)
        if _cut(translation.text, unit.marks)[1] == marks:
            return translation
        together = _join(await self._pieces(unit, pieces), marks)
        return replace(translation, text=together, hypotheses=(), sentences=())

    async def stream(self, unit: Unit, text: str) -> AsyncGenerator[TranslationPart, None]:
        """Yields the translation of a text as it grows."""
        parts, part = await _patiently(unit, lambda: self._begin(text))
        async with aclosing(parts):
            yield part
            while part.translation is None:
                try:
                    part = await anext(parts)
                except AttendantError as error:
                    raise error_of_call(unit.place, error) from error
                yield part

    async def _whole(self, unit: Unit, text: str) -> Translation:
        return (await self._call(unit, [text]))[0]

    async def _pieces(self, unit: Unit, pieces: Sequence[str]) -> list[str]:
        """Translates those that have letters, without the spaces around them."""
        found = [i for i, piece in enumerate(pieces) if _has_letters(piece)]
        translated = list(pieces)
        for first in range(0, len(found), _PIECES_A_CALL):
            some = found[first : first + _PIECES_A_CALL]
            answers = await self._call(unit, [pieces[i].strip() for i in some])
            for i, answer in zip(some, answers, strict=True):
                translated[i] = _with_spaces_of(pieces[i], answer.text)
        return translated

    async def _call(self, unit: Unit, texts: list[str]) -> list[Translation]:
        return await _patiently(
            unit,
            lambda: self._client.translate(
                texts,
                source_language=self._direction.source_language,
                target_language=self._direction.target_language,
                model=self._direction.model,
                options=self._options,
            ),
        )

    async def _begin(
        self, text: str
    ) -> tuple[AsyncGenerator[TranslationPart, None], TranslationPart]:
        parts = self._client.translate_stream(
            text,
            source_language=self._direction.source_language,
            target_language=self._direction.target_language,
            model=self._direction.model,
            options=self._options,
        )
        return parts, await anext(parts)


async def _patiently(unit: Unit, call: Callable[[], Awaitable[T]]) -> T:
    """Makes a call, again while the server is full; raises `CommandError` naming the place."""
    try:
        return await while_overloaded(call, Backoff())
    except AttendantError as error:
        raise error_of_call(unit.place, error) from error


def _cut(text: str, pattern: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """Returns the pieces of a text and the marks between them, of which there is one less."""
    pieces, marks, position = [], [], 0
    for match in pattern.finditer(text):
        pieces.append(text[position : match.start()])
        marks.append(match.group())
        position = match.end()
    return [*pieces, text[position:]], marks


def _join(pieces: Sequence[str], marks: Sequence[str]) -> str:
    return "".join(piece + mark for piece, mark in zip(pieces, [*marks, ""], strict=True))


def _has_letters(piece: str) -> bool:
    return any(map(str.isalpha, piece))


def _with_spaces_of(piece: str, translation: str) -> str:
    first = len(piece) - len(piece.lstrip())
    return piece[:first] + translation + piece[len(piece.rstrip()) :]
