"""Any output and any exit code pass through a typed shell, whatever it echoes, drops and redraws."""

from __future__ import annotations

import random
import re
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from montage_dask.cgpu import framing
from montage_dask.cgpu.download import Download
from montage_dask.cgpu.jobs import _Watch
from montage_dask.errors import TransferCorrupt

DROPPED = {b"", b"exit", b"logout", b"PS1=", b"stty echo", b"stty -echo"}


def as_cgpu_prints(typed: str, echo: bool = True) -> bytes:
    """What cgpu 0.1.4 would print of a typed line: its own noise added, and all that it leaves out left out."""
    made = subprocess.run(["bash", "-c", typed], capture_output=True, timeout=20)
    assert not made.stderr, made.stderr
    lines = made.stdout.replace(b"\r", b"").split(b"\n")
    lines = [re.sub(rb"\x1b\[[0-9;?]*[a-zA-Z]", b"", line) for line in lines]
    kept = [line for line in lines if line.strip() not in DROPPED]
    noise = [typed.encode(), b"__COLAB_CLI_STATUS=$?", b"/# "] if echo else []
    return b"\n".join([b"Authenticated as Me <me@x.com>", *noise, *kept, b""])


def read(text: bytes, token: str, step: int) -> framing.Finished:
    sink = framing.Capture()
    reader = framing.FrameReader(token, sink)
    for i in range(0, len(text), step):
        reader.feed(text[i : i + step])
    reader.finish()
    assert reader.ended is not None
    return sink.result(reader.ended)


def through(script: str, step: int = 1 << 20) -> framing.Finished:
    token = framing.new_token()
    typed = framing.typed_line(framing.captured(script, token, 10))
    assert typed is not None
    assert len(typed) <= 1000
    assert typed.isprintable()
    assert "!" not in typed
    assert token not in typed, "an echo could be taken for the frame"
    return read(as_cgpu_prints(typed), token, step)


def printing(text: str, code: int) -> str:
    return f"printf %s {framing.shlex.quote(text)}; exit {code}"


@settings(max_examples=40)
@given(
    text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=120),
    code=st.integers(0, 255),
    step=st.sampled_from([1, 7, 64, 1 << 20]),
)
@example("exit\nlogout\nPS1=\n\n\n  stty echo\n/# x\r10%\r\x1b[31mred\t! done!", 3, 5)
@example("@@END:0\n__COLAB_CLI_EXIT__x:0\nAuthenticated as nobody", 0, 64)
@example("no newline at the end", 42, 1)
@example("", 255, 1)
def test_any_text_and_any_code_survive(text, code, step):
    done = through(printing(text, code), step)
    assert (done.code, done.output) == (code, text)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 3", 3),
        ("cat", 0),  # its input is empty, not the rest of what is typed
        ("kill -9 $BASHPID", 137),
        ("kill -TERM $$", 143),
        ("no-such-command", 127),
        ("( unbalanced", 2),
        ("exec false", 1),
        ("sleep 30 & echo left", 0),  # what it leaves behind does not hold the call up
    ],
)
def test_a_script_ends_as_it_likes(script, code):
    assert through(script).code == code


@pytest.mark.parametrize(
    "data", [b"\x7b\x18\xad", b"=-", b"\x96\x8b\xa1\xba", b"x" * 54 + b"\x7b\x18\xad"]
)
def test_no_line_of_the_encoding_is_one_that_cgpu_drops(data):
    """base64 of the first two is `exit` and `PS1=`."""
    escapes = "".join(f"\\x{b:02x}" for b in data)
    token = framing.new_token()
    typed = framing.typed_line(framing.captured(f"printf '{escapes}'", token, 10))
    sink = framing.Capture()
    reader = framing.FrameReader(token, sink)
    reader.feed(as_cgpu_prints(typed))
    assert reader.ended is not None
    sink.result(reader.ended)
    assert b"".join(sink._blocks) == data


def test_a_changed_byte_is_noticed():
    token = framing.new_token()
    typed = framing.typed_line(framing.captured("echo 0123456789", token, 10))
    text = as_cgpu_prints(typed)
    encoded = framing.base64.b64encode(b"0123456789\n...")
    for wrong in (
        b"A" + encoded[1:],
        b"#" + encoded[1:],
        encoded[:-1],
        b"",
        encoded + b"\nbash: x",
    ):
        with pytest.raises(TransferCorrupt):
            read(text.replace(encoded, wrong), token, 1 << 20)


def test_without_an_end_nothing_is_claimed():
    token = framing.new_token()
    typed = framing.typed_line(framing.captured("echo x", token, 10))
    text = as_cgpu_prints(typed)
    for cut in (b":end:", token.encode() + b":end", b".\n"):
        reader = framing.FrameReader(token, framing.Capture())
        reader.feed(text[: text.rindex(cut)])
        reader.finish()
        assert reader.begun
        assert reader.ended is None


def test_an_uploaded_program_runs_only_unchanged(tmp_path):
    token = framing.new_token()
    program = framing.encoded(framing.captured("echo " + "long " * 1000, token, 10))
    remote = tmp_path / "program.sh"
    for sent, ran in ((program, True), (program.replace(b"long", b"rm *", 1), False)):
        remote.write_bytes(sent)
        typed = framing.typed_file(str(remote), program, token)
        assert f"@@{token}" not in typed
        reader = framing.FrameReader(token, framing.Capture())
        reader.feed(as_cgpu_prints(typed))
        assert reader.begun is ran
        assert reader.refused == (None if ran else "changed")
        assert not remote.exists()


def test_long_scripts_are_not_typed():
    text = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=1200))
    assert framing.typed_line(framing.captured(f"echo {text}", framing.new_token(), 10)) is None


@pytest.mark.parametrize(
    "mark", ["file:12x:abc", "file:", "chunk:0", "from:-", "sum", "log:1", "state:0:1", "state:0"]
)
def test_a_damaged_marker_is_no_other_error(mark, tmp_path):
    token = framing.new_token()
    sink = _Watch(None)
    download = Download(tmp_path / "part")
    sink.begin(download)
    reader = framing.FrameReader(token, sink)
    try:
        with pytest.raises(TransferCorrupt):
            reader.feed(f"@@{token}:begin\n@@{token}:{mark}\n".encode())
    finally:
        download.close()


@settings(max_examples=30)
@given(data=st.binary(max_size=400), step=st.integers(1, 90))
@example(data=b".", step=1)
@example(data=b"...", step=3)
def test_a_stream_of_base64_gives_what_was_sent(data, step):
    text = framing.base64.b64encode(data + framing.TRAILER)
    stream = framing.Base64Stream()
    got = b"".join(stream.write(text[i : i + step]) for i in range(0, len(text), step))
    stream.finish()
    assert got == data
    cut = framing.Base64Stream()
    left = cut.write(text[:-4])
    if framing.base64.b64decode(text[:-4]).endswith(framing.TRAILER):
        assert left != data  # it could be whole: the checksum beside it tells
        return
    with pytest.raises(TransferCorrupt):
        cut.finish()
