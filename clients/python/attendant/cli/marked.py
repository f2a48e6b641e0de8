"""Translates a text with marks in it, so that they come back as they are."""

import re
from collections.abc import Awaitable, Callable, Sequence

from attendant.cli.marks import Run, cut, cut_everywhere, has_letters
from attendant.cli.placing import NowhereError, place
from attendant.translation import Translation

Translate = Callable[[Sequence[str], bool], Awaitable[Sequence[Translation]]]
"""Translates texts, split into sentences; says whether their alignments are wanted."""


async def translate_marked(text: str, marks: re.Pattern[str], translate: Translate) -> str:
    """Translates what is between the marks that cut the text.

    Marks around words go where the alignment says. Where it does not, they cut the text as well.
    """
    return await _translate_parts(cut(text, marks), marks, translate)


async def _translate_parts(
    parts: Sequence[Run | str], marks: re.Pattern[str], translate: Translate
) -> str:
    runs = [part for part in parts if isinstance(part, Run) and has_letters(part.text)]
    wants_alignments = any(run.pairs for run in runs)
    answers = iter(await translate([run.text for run in runs], wants_alignments) if runs else [])
    pieces = []
    for part in parts:
        if isinstance(part, str):
            pieces.append(part)
        elif has_letters(part.text):
            pieces.append(await _with_pairs(part, next(answers), marks, translate))
        else:
            pieces.append(part.source)
    return "".join(pieces)


async def _with_pairs(
    run: Run, translation: Translation, marks: re.Pattern[str], translate: Translate
) -> str:
    if not run.pairs:
        return translation.text
    try:
        return place(run.text, translation, run.pairs)
    except NowhereError:
        return await _translate_parts(cut_everywhere(run.source, marks), marks, translate)
