"""What cgpu makes of a terminal's output: some lines vanish, one of them is the exit code."""

from __future__ import annotations

import re

SENTINEL = "__COLAB_CLI_EXIT__"
_PROMPT = "/# "
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])")
_DROPPED = frozenset(("exit", "logout", "PS1=", "stty echo", "stty -echo"))
_ECHOED_TRAILER = f"printf '{SENTINEL}"
# The real one looks at its whole buffer again with every frame. That is only felt when no line ends.
_LONG = 1 << 16


class Lines:
    """Cleans a stream of text and looks for the exit code.

    Complete lines are worked on many at once: a download is millions of them.

    Args:
        token: what the sentinel line carries.
    """

    def __init__(self, token: str) -> None:
        self._sentinel = f"{SENTINEL}{token}:"
        self._pending = ""
        self.code: int | None = None
        """The remote command's status, once its line was seen."""

    def feed(self, text: str) -> str:
        """Lines that are complete now, cleaned; nothing after the exit code."""
        cut = text.rfind("\n")
        if cut < 0:
            self._gather(text)
            return ""
        complete, self._pending = self._pending + text[:cut], text[cut + 1 :]
        return self._clean(complete)

    def rest(self) -> str:
        """The line that never ended."""
        pending, self._pending = self._pending, ""
        return self._clean(pending)

    def _gather(self, text: str) -> None:
        self._pending += text
        if len(self._pending) >= _LONG:
            self._pending = _ANSI.sub("", self._pending)

    def _clean(self, text: str) -> str:
        if self.code is not None:
            return ""
        if "\x1b" in text:
            text = _ANSI.sub("", text)
        lines = text.replace("\r", "").split("\n")
        if _PROMPT in text:
            lines = [_without_prompts(line) for line in lines]
        if SENTINEL in text:
            lines = self._until_sentinel(lines)
        kept = [line for line in lines if line and line not in _DROPPED]
        return "\n".join(kept) + "\n" if kept else ""

    def _until_sentinel(self, lines: list[str]) -> list[str]:
        kept = []
        for line in lines:
            if line.startswith(self._sentinel):
                code = line.removeprefix(self._sentinel).strip()
                if code.isdecimal():
                    self.code = int(code)
                    break
            if not line.startswith(_ECHOED_TRAILER):
                kept.append(line)
        return kept


def _without_prompts(line: str) -> str:
    while line.startswith(_PROMPT):
        line = line[len(_PROMPT) :]
    return line
