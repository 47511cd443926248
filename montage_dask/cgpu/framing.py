"""How a script and what it prints pass unharmed through a typed shell.

`cgpu run` types its command into a terminal and prints what the terminal prints: echoes, prompts and redrawn lines among it,
without empty lines, carriage returns, and lines that look like its own. Therefore

- a script travels as base64 of its gzip: one line, no quotes, tabs, `!` or control characters to be interpreted;
- its output travels as base64 lines, never as itself;
- a frame is bounded by marker lines `@@token:name:argument:…` with a token made for the call. The typed line never contains
  one, so an echo of it cannot be taken for one. Base64 has no `@`.

Without the end marker nothing is known about the script, whatever cgpu's own exit code says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import shlex
import uuid
import zlib

from montage_dask.cgpu.runner import Finished, Sink
from montage_dask.errors import TransferCorrupt

TYPED_BYTES = 1000
"""Longest line to type: beyond 4095 the terminal cuts it, long before readline begins to redraw it."""

KEPT_BYTES = 8 << 20
"""Of the output of a `captured` script."""

TRAILER = b"..."
"""Ends every base64 stream. A last line of four characters could else read `exit` or `PS1=`, which cgpu leaves out."""

LONGEST_LINE = 1 << 20
"""More without a line break is no frame of ours."""


def new_token() -> str:
    """A token that no output contains by chance."""
    return uuid.uuid4().hex


def captured(script: str, token: str, seconds: float) -> str:
    """A program that runs a script, and prints its output as one frame when it has ended.

    The output goes through a file: a child that the script leaves behind cannot hold the frame open.

    Args:
        script: in bash.
        token: of the frame.
        seconds: killed there after this long; a lost line would leave it running for ever.
    """
    return f"""exec 2>/dev/null
o=$(mktemp)||{{ echo "@@{token}:full";exit;}}
echo "@@{token}:begin"
timeout -s 9 {int(seconds) + 5} bash -c {shlex.quote(script)} >"$o" 2>&1
c=$?
s=$({{ tail -c {KEPT_BYTES} "$o";echo $c;}}|sha256sum)
{{ tail -c {KEPT_BYTES} "$o";printf ...;}}|base64 -w 76
echo "@@{token}:end:$c:${{s%% *}}:."
rm -f "$o"
"""


def streamed(script: str, token: str, seconds: float) -> str:
    """A program that runs a script which prints its own frames with the token `$U`."""
    return f"""exec 2>/dev/null
echo "@@{token}:begin"
U={token} timeout -s 9 {int(seconds) + 5} bash -c {shlex.quote(script)}
c=$?
printf '\\n@@%s:end:%s:%s:.\\n' {token} $c $c
"""


def typed_line(program: str) -> str | None:
    """The line to type that runs a program; None: it would be too long, so upload the program and type `typed_file`."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(encoded(program)) + packer.flush()
    line = f'bash -c "$(echo {base64.b64encode(packed).decode()}|base64 -d|gzip -dc)" </dev/null'
    return line if len(line) <= TYPED_BYTES else None


def typed_file(remote: str, program: bytes, token: str) -> str:
    """The line to type that runs a program which was uploaded, if it arrived as it was sent.

    Args:
        remote: where it is; a plain path.
        program: what was uploaded.
        token: of the frame. Its marker is typed in two pieces.
    """
    digest = hashlib.sha256(program).hexdigest()
    return (
        f'if echo "{digest}  {remote}"|sha256sum -c --status 2>/dev/null;then bash {remote} </dev/null;'
        f"else printf '%s%s\\n' @@ {token}:changed;fi;rm -f {remote}"
    )


def encoded(text: str) -> bytes:
    """Text for the remote shell; file names that are no UTF-8 come out as they went in."""
    return text.encode("utf-8", "surrogateescape")


class Base64Stream:
    """Decodes base64 text strictly, piece by piece, and takes the trailer off its end."""

    def __init__(self) -> None:
        self._text = b""
        self._held = b""

    def write(self, block: bytes) -> bytes:
        """Some more text; returns what is certain of the data.

        Raises:
            TransferCorrupt: something else than base64 stood in it.
        """
        text = self._text + block if self._text else block
        whole = len(text) & ~3
        self._text = text[whole:]
        decoded = self._held + _decode(text[:whole])
        keep = len(decoded) - len(TRAILER)
        if keep <= 0:
            self._held = decoded
            return b""
        self._held = decoded[keep:]
        return decoded[:keep]

    def finish(self) -> None:
        """The end of the text.

        Raises:
            TransferCorrupt: it does not end as it should.
        """
        if self._text or self._held != TRAILER:
            raise TransferCorrupt("the output of the runtime was cut: try again")
        self._held = b""


def _decode(text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise TransferCorrupt("the output of the runtime was damaged: try again") from error


class FrameReader:
    """Finds one frame in what cgpu prints, as it comes, without holding more than a line.

    Args:
        token: of the frame.
        sink: takes what is in it.
    """

    def __init__(self, token: str, sink: Sink) -> None:
        self.begun = False
        self.ended: list[str] | None = None
        """The arguments of the end marker."""
        self.refused: str | None = None
        """`full` (the runtime's disk) or `changed` (the uploaded program): it did not run."""
        self.prelude = b""
        """The first 64 KiB before the frame."""
        self._marker = f"@@{token}:".encode()
        self._sink = sink
        self._rest = b""

    def feed(self, block: bytes) -> None:
        """Some more output.

        Raises:
            TransferCorrupt: no line break for too long inside the frame.
        """
        text = self._rest + block
        cut = text.rfind(b"\n") + 1
        self._rest = text[cut:]
        if not self.begun:
            self.prelude += block[: (64 << 10) - len(self.prelude)]
        if len(self._rest) > LONGEST_LINE:
            if self.begun and self.ended is None:
                raise TransferCorrupt("the output of the runtime was damaged: try again")
            self._rest = self._rest[-(64 << 10) :]
        start = 0
        while True:
            at = text.find(self._marker, start, cut)
            if at < 0:
                break
            self._data(text[start:at])
            start = text.index(b"\n", at) + 1
            line = text[at + len(self._marker) : start].strip().decode("ascii", "replace")
            self._mark(*line.split(":"))
        self._data(text[start:cut])

    def finish(self) -> None:
        """The end of the output: the end marker may lack its line break, but not its full stop."""
        if self._marker + b"end:" in self._rest and self._rest.endswith(b":."):
            self.feed(b"\n")

    def _data(self, text: bytes) -> None:
        if self.begun and self.ended is None:
            block = text.translate(None, b"\r\n")
            if block:
                self._sink.data(block)

    def _mark(self, name: str, *arguments: str) -> None:
        if name == "begin":
            self.begun = True
        elif name in ("full", "changed") and not self.begun:
            self.refused = name
        elif self.begun and self.ended is None:
            if name == "end" and arguments[-1:] == (".",):
                self.ended = list(arguments)
            else:
                try:
                    self._sink.mark(name, list(arguments))
                except (ValueError, IndexError, TypeError) as error:
                    message = "a marker from the runtime was damaged: try again"
                    raise TransferCorrupt(message) from error


class Capture:
    """The sink of a `captured` script."""

    def __init__(self) -> None:
        self._stream = Base64Stream()
        self._blocks: list[bytes] = []

    def data(self, block: bytes) -> None:
        self._blocks.append(self._stream.write(block))

    def mark(self, name: str, arguments: list[str]) -> None:
        raise TransferCorrupt(f"an unexpected marker {name!r} came from the runtime")

    def result(self, ended: list[str]) -> Finished:
        """The result, by the arguments of the end marker.

        Raises:
            TransferCorrupt: the output is not what was sent.
        """
        self._stream.finish()
        output = b"".join(self._blocks)
        digest = hashlib.sha256(output + f"{ended[0]}\n".encode()).hexdigest()
        if len(ended) != 3 or digest != ended[1]:
            raise TransferCorrupt("the output of the runtime was damaged: try again")
        return Finished(int(ended[0]), output.decode("utf-8", "replace"))


def code_of(ended: list[str]) -> int:
    """The exit code in the end marker of a stream, where it stands twice.

    Raises:
        TransferCorrupt: it is damaged.
    """
    if len(ended) != 3 or not ended[0].isdecimal() or ended[0] != ended[1]:
        raise TransferCorrupt("the end of the runtime's output was damaged: try again")
    return int(ended[0])
