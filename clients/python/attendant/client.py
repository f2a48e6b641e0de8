"""The client for threads. What to send and how to read the answer is in `messages` and `health`."""

import time
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Self, TypeVar, overload

import grpc
from attendant_protos.v1 import translation_pb2 as pb
from attendant_protos.v1.translation_pb2_grpc import TranslationServiceStub

from attendant import health
from attendant.channel import KeepAlive, channel_options
from attendant.errors import error_from_rpc
from attendant.messages import (
    build_request,
    build_stream_request,
    check_end,
    parse_part,
    parse_response,
)
from attendant.model import Model, Pieces
from attendant.model_messages import (
    build_detokenize,
    build_get_model,
    build_tokenize,
    parse_model,
    parse_pieces,
    parse_texts,
)
from attendant.options import Options
from attendant.retries import Attempts, Retries
from attendant.security import TLS, key_metadata
from attendant.translation import Translation, TranslationPart

Request = TypeVar("Request")
Response = TypeVar("Response")


class Client:
    """A connection to one server, for any number of threads.

    with Client("localhost:50051") as client:
        print(client.translate("A dog.", source_language="en", target_language="de"))
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float | None = 30.0,
        keep_alive: KeepAlive | None = None,
        tls: TLS | None = None,
        api_key: str | None = None,
        allow_plaintext_key: bool = False,
        retries: Retries = Retries(),  # noqa: B008 - frozen
    ) -> None:
        """Connects lazily: the first call does.

        Args:
            target: The server, "host:port" or any other name that gRPC resolves; of several
                addresses, as of a name in DNS or "ipv4:10.0.0.1:50051,10.0.0.2:50051", calls
                take turns between those that can be reached.
            timeout_s: Deadline in seconds of a call that names none; None for no deadline.
            keep_alive: Pings that find a dead connection; None for none.
            tls: How to encrypt the connection; None leaves it in plain text.
            api_key: Who is calling, where the server asks.
            allow_plaintext_key: Whether the key may be sent to another machine without TLS.
            retries: Which calls are made again; `NO_RETRIES` for none.

        Raises:
            ValueError: The key could be read on its way.
            OSError: A file of `tls` cannot be read.
        """
        self._target = target
        self._timeout_s = timeout_s
        self._retries = retries
        self._metadata = key_metadata(api_key, target, tls, allow_plaintext_key)
        options = channel_options(keep_alive, tls, bool(self._metadata))
        if tls is None:
            self._channel = grpc.insecure_channel(target, options)
        else:
            self._channel = grpc.secure_channel(target, tls.credentials(), options)
        stub = TranslationServiceStub(self._channel)
        self._translate: grpc.UnaryUnaryMultiCallable[pb.TranslateRequest, pb.TranslateResponse] = (
            stub.Translate
        )
        self._translate_stream: grpc.UnaryStreamMultiCallable[
            pb.TranslateStreamRequest, pb.TranslateStreamResponse
        ] = stub.TranslateStream
        self._list_models: grpc.UnaryUnaryMultiCallable[
            pb.ListModelsRequest, pb.ListModelsResponse
        ] = stub.ListModels
        self._get_model: grpc.UnaryUnaryMultiCallable[pb.GetModelRequest, pb.GetModelResponse] = (
            stub.GetModel
        )
        self._tokenize: grpc.UnaryUnaryMultiCallable[pb.TokenizeRequest, pb.TokenizeResponse] = (
            stub.Tokenize
        )
        self._detokenize: grpc.UnaryUnaryMultiCallable[
            pb.DetokenizeRequest, pb.DetokenizeResponse
        ] = stub.Detokenize
        self._check: grpc.UnaryUnaryMultiCallable[health.CheckRequest, health.CheckResponse] = (
            health.HealthStub(self._channel).Check
        )

    @overload
    def translate(  # type: ignore[overload-overlap]
        self,
        text: str,
        *,
        source_language: str,
        target_language: str,
        model: str = "",
        options: Options | None = None,
        timeout_s: float | None = None,
    ) -> Translation: ...

    @overload
    def translate(
        self,
        text: Sequence[str],
        *,
        source_language: str,
        target_language: str,
        model: str = "",
        options: Options | None = None,
        timeout_s: float | None = None,
    ) -> list[Translation]: ...

    def translate(
        self,
        text: str | Sequence[str],
        *,
        source_language: str,
        target_language: str,
        model: str = "",
        options: Options | None = None,
        timeout_s: float | None = None,
    ) -> Translation | list[Translation]:
        """Translates a text, or several in one call.

        Args:
            text: A sentence, or a sequence of them; with `Options.split_sentences` paragraphs or
                pages. An empty sequence is answered without a call.
            source_language: Language of the text, a code such as "en".
            target_language: Language to translate into, a code such as "de".
            model: Name of the model; may be left out where the server has only one.
            options: How to translate; None for the server's own ways.
            timeout_s: Deadline of this call in seconds; None for the client's.

        Returns:
            One `Translation` for a string; for a sequence a list in the same order.

        Raises:
            TextsRefusedError: Some of several texts are wrong; it has the others' translations.
            AttendantError: Or the one of its kinds that fits; see `attendant.errors`.
        """
        texts = [text] if isinstance(text, str) else text
        request = build_request(texts, source_language, target_language, model, options)
        if not texts:
            return []
        response = self._call(self._translate, request, timeout_s)
        translations = parse_response(response, len(texts))
        return translations[0] if isinstance(text, str) else translations

    def translate_stream(
        self,
        text: str,
        *,
        source_language: str,
        target_language: str,
        model: str = "",
        options: Options | None = None,
        timeout_s: float | None = None,
    ) -> Generator[TranslationPart, None, None]:
        """Translates a text and yields it as it grows; the last part has the whole translation.

        The call begins when the first part is asked for. Closing the iterator, as
        `contextlib.closing` does, cancels it.

        Args:
            text: A sentence.
            source_language: Language of the text, a code such as "en".
            target_language: Language to translate into, a code such as "de".
            model: Name of the model; may be left out where the server has only one.
            options: How to translate; None for the server's own ways.
            timeout_s: Deadline of the whole stream in seconds; None for the client's.

        Raises:
            AttendantError: Or the one of its kinds that fits, here or from the iterator.
        """
        request = build_stream_request(text, source_language, target_language, model, options)
        return self._parts(request, timeout_s)

    def list_models(self, timeout_s: float | None = None) -> list[Model]:
        """Returns every model of the server, by name, whether it serves or not.

        Args:
            timeout_s: Deadline of this call in seconds; None for the client's.

        Raises:
            AttendantError: Or the one of its kinds that fits; see `attendant.errors`.
        """
        response = self._call(self._list_models, pb.ListModelsRequest(), timeout_s)
        return [parse_model(model) for model in response.models]

    def get_model(self, name: str = "", timeout_s: float | None = None) -> Model:
        """Returns one model; its name may be left out where the server has only one.

        Raises:
            NotFoundError: There is none of that name; the message has those that exist.
            AttendantError: Or the one of its kinds that fits; see `attendant.errors`.
        """
        response = self._call(self._get_model, build_get_model(name), timeout_s)
        return parse_model(response.model)

    def tokenize(
        self,
        texts: Sequence[str],
        *,
        model: str = "",
        target_language: str = "",
        timeout_s: float | None = None,
    ) -> list[Pieces]:
        """Cuts texts into the pieces that a model sees.

        Args:
            texts: Texts in any language of the model.
            model: Name of the model; may be left out where the server has only one.
            target_language: Language that the texts would be translated into: then what the model
                reads beside them, its tag and the end of sentence, is there too.
            timeout_s: Deadline of this call in seconds; None for the client's.

        Raises:
            AttendantError: Or the one of its kinds that fits; see `attendant.errors`.
        """
        request = build_tokenize(texts, model, target_language)
        return parse_pieces(self._call(self._tokenize, request, timeout_s), len(texts))

    def detokenize(
        self,
        texts: Sequence[Sequence[str]],
        *,
        model: str = "",
        timeout_s: float | None = None,
    ) -> list[str]:
        """Puts pieces together again, of one text or several.

        Args:
            texts: The pieces of each text, as `tokenize` returns them.
            model: Name of the model; may be left out where the server has only one.
            timeout_s: Deadline of this call in seconds; None for the client's.

        Raises:
            AttendantError: Or the one of its kinds that fits; see `attendant.errors`.
        """
        request = build_detokenize(texts, model)
        return parse_texts(self._call(self._detokenize, request, timeout_s), len(texts))

    def is_serving(self, timeout_s: float = health.CHECK_TIMEOUT_S) -> bool:
        """Whether the server can be reached and says that it takes requests.

        Raises:
            AttendantError: The answer is neither yes nor no, as from a server without health.
        """
        try:
            return health.is_serving(self._check(health.CheckRequest(), timeout=timeout_s))
        except grpc.RpcError as error:
            if health.means_not_serving(error):
                return False
            raise error_from_rpc(error) from error

    def wait_until_serving(self, timeout_s: float) -> None:
        """Returns as soon as the server takes requests.

        Raises:
            UnavailableError: It did not within `timeout_s` seconds.
        """
        for attempt in health.attempts(timeout_s):
            if self.is_serving(attempt.timeout_s):
                return
            time.sleep(attempt.pause_s)
        raise health.never_served(self._target, timeout_s)

    def close(self) -> None:
        """Closes the connection; calls still running end with `CancelledError`."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _call(
        self,
        method: "grpc.UnaryUnaryMultiCallable[Request, Response]",
        request: Request,
        timeout_s: float | None,
    ) -> Response:
        attempts = self._begin(timeout_s)
        while True:
            try:
                return method(request, timeout=attempts.left_s(), metadata=self._metadata)
            except grpc.RpcError as failure:
                error = error_from_rpc(failure)
                if (pause_s := attempts.pause_s(error)) is None:
                    raise error from failure
            time.sleep(pause_s)

    def _begin(self, timeout_s: float | None) -> Attempts:
        return self._retries.begin(self._timeout_s if timeout_s is None else timeout_s)

    def _parts(
        self, request: pb.TranslateStreamRequest, timeout_s: float | None
    ) -> Generator[TranslationPart, None, None]:
        attempts = self._begin(timeout_s)
        while True:
            call = self._translate_stream(
                request, timeout=attempts.left_s(), metadata=self._metadata
            )
            part = None
            try:
                for response in call:
                    part = parse_part(response)
                    yield part
                check_end(part)
                return
            except grpc.RpcError as failure:
                error = error_from_rpc(failure)
                pause_s = attempts.pause_s(error) if part is None else None
                if pause_s is None:
                    raise error from failure
            finally:
                call.cancel()
            time.sleep(pause_s)
