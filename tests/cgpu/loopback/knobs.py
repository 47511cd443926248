"""What a test can make go wrong."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Knobs:
    """Each knob is read anew for every request (terminal knobs: when the websocket opens).

    A body of None stands for the usual one of that status.
    """

    # The whole backend
    offline: bool = False
    """Every new connection is reset, the proxy of the token endpoint included."""
    latency: float = 0.0
    """Seconds before every reply."""

    # Account
    token_status: int = 200
    token_body: str | None = None
    ccu_status: int = 200
    ccu_body: str | None = None
    eligible_gpus: list[str] = field(default_factory=lambda: ["T4"])
    eligible_tpus: list[str] = field(default_factory=lambda: ["V2-8"])

    # Runtimes
    list_status: int = 200
    list_body: str | None = None
    assign_status: int = 200
    """Of the POST: 412 too many runtimes, 5xx no capacity, 429 …"""
    assign_body: str | None = None
    assign_outcome: int = 4
    """4 assigned; 1 and 2 quota; 5 denylisted."""
    scarce: list[str] = field(default_factory=list)
    """Accelerators that answer 503 while the others are there."""
    proxy_token_status: int = 200
    keep_alive_status: int = 200
    idle_seconds: float | None = None
    """A runtime is lost when no keep-alive came for so long. Calls and open terminals do not count: whether they do on
    Colab is not known."""

    # Terminals
    terminals_status: int = 200
    terminals_delay: float = 5.0
    """Seconds that the reply waits for the shell's prompt at most; 0 lets the client type before the shell is ready."""
    upgrade_status: int = 101
    """Anything else refuses the websocket."""
    ws_drop_after: float | None = None
    """Seconds after its opening until the websocket is reset."""
    ws_drop_after_chars: int | None = None
    """The same, after so many characters of output."""
    ws_hole_after: float | None = None
    """Seconds until the websocket stays open and falls silent, both ways."""
    ws_hole_after_chars: int | None = None
    corrupt_downloads: bool = False
    """One letter or digit of the output becomes another one, once per terminal."""
    corrupt_downloads_after: int = 2000
    """Characters of output before that may happen."""
    frame_chars: int | None = None
    """The most characters of output in one frame; None: as they come, up to 131072."""
    output_chars_per_second: float | None = None
    """A slow line."""
    line_limit: int = 4095
    """Bytes of a typed line; the tty may lose the rest of a longer one, here it always does."""
    shell: list[str] = field(default_factory=lambda: ["bash", "--norc", "-i"])

    # Files
    contents_status: int = 200
    contents_body: str | None = None
    contents_limit: int = 512 << 20
    """Bytes of a request body; more is answered with 413."""
    corrupt_uploads: bool = False
    """One bit of each file that arrives is flipped before it is stored."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._times: dict[str, int] = {}

    def set(self, **values: Any) -> None:
        """Turn several knobs; unknown names are an AttributeError."""
        self._set(values, None)

    def for_next(self, times: int, **values: Any) -> None:
        """Turn knobs for the next `times` requests that read them, then back to the default.

        Each knob counts on its own: `for_next(1, contents_status=500)` fails one upload.
        """
        self._set(values, times)

    def _set(self, values: dict[str, Any], times: int | None) -> None:
        names = {each.name for each in fields(self)}
        if unknown := values.keys() - names:
            raise AttributeError(f"no such knob: {', '.join(sorted(unknown))}")
        with self._lock:
            for name, value in values.items():
                setattr(self, name, value)
                self._times.pop(name, None)
                if times is not None:
                    self._times[name] = times

    def use(self, name: str) -> Any:
        """The value for one request: counts `for_next` down."""
        with self._lock:
            value = getattr(self, name)
            if name in self._times:
                self._times[name] -= 1
                if self._times[name] == 0:
                    del self._times[name]
                    setattr(self, name, getattr(Knobs(), name))
            return value

    def reset(self) -> None:
        """All knobs as they were at the start."""
        fresh = Knobs()
        self.set(**{each.name: getattr(fresh, each.name) for each in fields(self)})
