"""Makes the calls that translate units. Knows neither files nor how translations are written."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from attendant.async_client import AsyncClient
from attendant.cli.backoff import Backoff, while_overloaded
from attendant.cli.formats.unit import Unit
from attendant.cli.marked import translate_marked
from attendant.cli.outcome import error_of_call
from attendant.errors import AttendantError
from attendant.options import Options
from attendant.translation import FinishReason, Translation, TranslationPart

T = TypeVar("T")

_RUNS_A_CALL = 64


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
        """Translates the text of a unit. Its marks come back as they are."""
        if unit.marks is None or unit.marks.search(text) is None:
            return (await self._call(unit, [text], self._options))[0]
        together = await translate_marked(text, unit.marks, partial(self._runs, unit))
        return Translation(together, FinishReason.STOP, source_tokens=0, target_tokens=0)

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

    async def _runs(
        self, unit: Unit, texts: Sequence[str], wants_alignments: bool
    ) -> list[Translation]:
        options = replace(self._options, alignment=wants_alignments)
        found: list[Translation] = []
        for first in range(0, len(texts), _RUNS_A_CALL):
            found += await self._call(unit, texts[first : first + _RUNS_A_CALL], options)
        return found

    async def _call(self, unit: Unit, texts: Sequence[str], options: Options) -> list[Translation]:
        return await _patiently(
            unit,
            lambda: self._client.translate(
                texts,
                source_language=self._direction.source_language,
                target_language=self._direction.target_language,
                model=self._direction.model,
                options=options,
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
