"""How one request is made through the server's own API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from attendant.async_client import AsyncClient
from attendant.load.answer import Answer, Send
from attendant.load.config import Endpoint, Request
from attendant.retries import NO_RETRIES
from attendant.translation import Translation


@asynccontextmanager
async def connect_attendant(endpoint: Endpoint) -> AsyncIterator[Send]:
    """Opens a connection for the length of a block, and yields what sends requests over it."""
    async with AsyncClient(
        endpoint.target,
        timeout_s=endpoint.timeout_s,
        tls=endpoint.tls,
        api_key=endpoint.api_key,
        allow_plaintext_key=endpoint.allow_plaintext_key,
        retries=NO_RETRIES,  # asked again in silence, failures would not be seen
    ) as client:

        async def translate(request: Request) -> Answer:
            translation = await client.translate(
                request.text,
                source_language=request.source_language,
                target_language=request.target_language,
                model=endpoint.model,
                options=request.options,
            )
            return _answer(request, translation, [])

        async def stream(request: Request) -> Answer:
            return await _read_stream(client, endpoint.model, request)

        yield stream if endpoint.is_streamed else translate


async def _read_stream(client: AsyncClient, model: str, request: Request) -> Answer:
    loop, parts_s = asyncio.get_running_loop(), []
    parts = client.translate_stream(
        request.text,
        source_language=request.source_language,
        target_language=request.target_language,
        model=model,
        options=request.options,
    )
    translation = None
    async with aclosing(parts):
        async for part in parts:
            if part.text:
                parts_s.append(loop.time())
            translation = part.translation
    assert translation is not None  # the client raises for a stream that has no end
    return _answer(request, translation, parts_s)


def _answer(request: Request, translation: Translation, parts_s: list[float]) -> Answer:
    return Answer(
        source_tokens=translation.source_tokens,
        target_tokens=translation.target_tokens,
        source_characters=len(request.text),
        target_characters=len(translation.text),
        parts_s=tuple(parts_s),
    )
