"""Texts of a request that are wrong, and do not keep the others from being translated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import InvalidRequestError
from server.request import TranslationRequest


class Refusals:
    """What is wrong with which text of one request; all or nothing where the request wants that."""

    def __init__(self, request: TranslationRequest) -> None:
        self._request = request
        self._errors: dict[int, InvalidRequestError] = {}

    def get(self, i: int) -> InvalidRequestError | None:
        """What is wrong with the i-th text."""
        return self._errors.get(i)

    @contextmanager
    def of(self, i: int) -> Iterator[None]:
        """An InvalidRequestError of the block is what is wrong with the i-th text.

        Raises it where the request wants all or nothing.
        """
        try:
            yield
        except InvalidRequestError as error:
            if not self._request.takes_refusals:
                raise
            self._errors.setdefault(i, error)

    def check(self) -> None:
        """Raises the first text's InvalidRequestError where no text is left to translate."""
        if self._errors and len(self._errors) == len(self._request.texts):
            raise self._errors[0]

    def without_refused(self) -> list[str]:
        """The texts, with nothing in place of those that are wrong."""
        return ["" if i in self._errors else text for i, text in enumerate(self._request.texts)]
