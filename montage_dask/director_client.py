"""The director's question to a language model over HTTP, by the `openai` client: OpenAI's Responses or Chat Completions API.

The only module that talks to a model. Text goes out, text comes back; what it may mean is decided in `edit.director`.
Every question ends within its time, and every failure is a `DirectorUnavailable` with one line for people.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from montage_dask.errors import DirectorUnavailable, UsageError, printable

T = TypeVar("T")

KEY_VARIABLE = "OPENAI_API_KEY"
MAXIMUM_TOKENS = 4000
LONGEST_DETAIL = 160
MOST_BYTES = 1_000_000
"""Of an answer; MAXIMUM_TOKENS have a tenth of it."""
NO_ROUTE = (404, 405, 501)
"""What servers answer that do not speak one of the two APIs."""
NOT_UNDERSTOOD = (400, 422)
"""What servers answer that do not know a parameter, such as a schema."""


@dataclass(frozen=True, slots=True)
class Server:
    """Which model to ask, and how."""

    url: str
    """Base of the API: "http://127.0.0.1:8080/v1"."""
    model: str | None
    """None: the server's own."""
    api: str
    """auto, responses or chat."""
    seconds: float
    """A question takes at most this long, whatever the server does."""

    @property
    def name(self) -> str:
        """Scheme and host, for people and records."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def identity(self) -> str:
        """What decides who answers: the model; without one, the server."""
        return self.model or f"default of {self.name}"


def server_url(text: str) -> str:
    """The base URL of a server: http or https, with /v1 where no path is given.

    Raises:
        ValueError: it is none, or holds a user or password.
    """
    try:
        parts = urlsplit(text.strip())
        port = parts.port
    except ValueError:
        raise ValueError("must be a URL such as http://127.0.0.1:8080") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError("must be a URL such as http://127.0.0.1:8080")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"must hold no user or password; put a key into {KEY_VARIABLE}")
    if parts.query or parts.fragment or not text.isprintable():
        raise ValueError("must be a URL without ? and #")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def ask(server: Server, instructions: str, question: str, schema: Mapping[str, Any]) -> str:
    """The text of a model's answer.

    Args:
        server: whom to ask.
        instructions: for the model.
        question: from the user.
        schema: JSON schema of the answer, for servers that can hold a model to one.

    Raises:
        DirectorUnavailable: no text came within the time.
        UsageError: the `openai` package is not installed.
    """
    try:
        import openai
    except ImportError as error:
        raise UsageError(
            "director-url needs the openai client: pip install 'montage-dask[director]'"
        ) from error
    asking = _Asking(server, instructions, question, schema)
    try:
        return _within(server.seconds, asking.answer)
    except TimeoutError:
        raise DirectorUnavailable(
            f"{server.name} did not answer within {server.seconds:g} s"
        ) from None
    except openai.APITimeoutError:
        raise DirectorUnavailable(
            f"{server.name} did not answer within {server.seconds:g} s"
        ) from None
    except openai.APIConnectionError as error:
        if isinstance(error.__cause__, DirectorUnavailable):
            raise error.__cause__ from None
        raise DirectorUnavailable(f"{server.name} cannot be reached") from None
    except openai.APIStatusError as error:
        detail = _public(str(error.message))
        raise DirectorUnavailable(f"{server.name} answered {error.status_code}: {detail}") from None
    except DirectorUnavailable:
        raise
    except Exception as error:  # what a broken server sends can break the client anywhere
        raise DirectorUnavailable(
            f"{server.name} sent no answer that can be read ({type(error).__name__})"
        ) from None


def _public(text: str) -> str:
    """A server's message on one line, cut short, without the key."""
    key = os.environ.get(KEY_VARIABLE)
    if key:
        text = text.replace(key, "…")
    return printable(" ".join(text.split()))[:LONGEST_DETAIL]


def _within(seconds: float, function: Callable[[], T]) -> T:
    """The result of a function, or `TimeoutError`: the client's own time-outs count each read anew.

    The thread is left behind then; it holds one socket and ends with it, or with the process.
    """
    results: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            results.put((function(), None))
        except BaseException as error:
            results.put((None, error))

    threading.Thread(target=work, name="director", daemon=True).start()
    try:
        result, error = results.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]


class _Asking:
    """One question, in the forms that servers understand."""

    def __init__(
        self, server: Server, instructions: str, question: str, schema: Mapping[str, Any]
    ) -> None:
        self.server, self.instructions, self.question = server, instructions, question
        self.schema = dict(schema)

    def answer(self) -> str:
        import openai

        with openai.OpenAI(
            # Servers on one's own machine want none, the client always wants one.
            api_key=os.environ.get(KEY_VARIABLE) or "none",
            base_url=self.server.url,
            timeout=self.server.seconds,
            max_retries=1,
            http_client=self._bounded(),
        ) as client:
            model = self.server.model or self._only_model(client)
            if self.server.api == "chat":
                return self._text(self._chat(client, model))
            try:
                return self._text(self._responses(client, model))
            except openai.APIStatusError as error:
                if self.server.api == "responses" or error.status_code not in NO_ROUTE:
                    raise
            return self._text(self._chat(client, model))

    def _bounded(self) -> Any:
        """A client for HTTP that reads so much and no more, and asks only whom the user named: the key is for that one."""
        import openai

        return openai.DefaultHttpxClient(
            follow_redirects=False,
            headers={"Accept-Encoding": "identity"},
            event_hooks={"response": [self._limit]},
        )

    def _limit(self, response: Any) -> None:
        """Called with each response before its body is read."""
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            # A little of it may unfold to more than there is memory.
            raise DirectorUnavailable(f"{self.server.name} sent a packed answer, which was not asked for")  # fmt: skip
        whole = response.stream
        # Of openai 2 and 3 it is another library's.
        (kind,) = [c for c in type(whole).__mro__ if c.__name__ == "SyncByteStream"]
        response.stream = type("Bounded", (kind,), {
            "__iter__": lambda _: self._counted(whole), "close": lambda _: whole.close(),
        })()  # fmt: skip

    def _counted(self, blocks: Iterable[bytes]) -> Iterator[bytes]:
        size = 0
        for block in blocks:
            size += len(block)
            if size > MOST_BYTES:
                raise DirectorUnavailable(
                    f"{self.server.name} sent more than {MOST_BYTES:,} bytes, which is no decision"
                )
            yield block

    def _text(self, text: str | None) -> str:
        if not text or not text.strip():
            raise DirectorUnavailable(f"{self.server.name} answered nothing")
        return text

    def _only_model(self, client: Any) -> str | None:
        """The server's model when it has one; None when it does not say which it has."""
        import openai

        try:
            models = [m.id for m in client.models.list().data]
        except openai.APIStatusError as error:
            if error.status_code in NO_ROUTE:
                return None
            raise
        if len(models) > 1:
            some = ", ".join(printable(str(m))[:40] for m in models[:3])
            raise DirectorUnavailable(
                f"{self.server.name} has {len(models)} models ({some} …): name one by director-model"
            )
        return str(models[0]) if models else None

    def _responses(self, client: Any, model: str | None) -> str:
        form = {"type": "json_schema", "name": "decision", "schema": self.schema, "strict": True}
        wanted: dict[str, Any] = {"instructions": self.instructions, "input": self.question}
        if model is not None:
            wanted["model"] = model
        response = self._tried(
            client.responses.create, wanted, {"text": {"format": form}}, "max_output_tokens"
        )
        return str(response.output_text)

    def _chat(self, client: Any, model: str | None) -> str:
        form = {"name": "decision", "schema": self.schema, "strict": True}
        wanted = {
            "model": model or "default",
            "messages": [
                {"role": "system", "content": self.instructions},
                {"role": "user", "content": self.question},
            ],
        }
        response = self._tried(
            client.chat.completions.create,
            wanted,
            {"response_format": {"type": "json_schema", "json_schema": form}},
            "max_completion_tokens",
        )
        if not response.choices:
            raise DirectorUnavailable(f"{self.server.name} answered nothing")
        return str(response.choices[0].message.content or "")

    def _tried(
        self,
        create: Callable[..., Any],
        wanted: dict[str, Any],
        form: dict[str, Any],
        limit: str,
    ) -> Any:
        """A response to a question with a schema, else without one, else without any parameter."""
        import openai

        calm = {"temperature": 0, limit: MAXIMUM_TOKENS}
        for more in ({**calm, **form}, calm):
            try:
                return create(**wanted, **more)
            except openai.APIStatusError as error:
                if error.status_code not in NOT_UNDERSTOOD:
                    raise
        return create(**wanted)
