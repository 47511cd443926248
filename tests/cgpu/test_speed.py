"""The stand-in and the loopback are fast enough not to be what a driver's benchmark measures."""

from __future__ import annotations

import base64
import os
import time

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu


def test_100_megabytes_come_down_at_10_megabytes_a_second(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    size = 100_000_000
    content = os.urandom(size)
    (colab.root() / "large").write_bytes(content)
    started = time.monotonic()
    code, text = cgpu.remote(f"base64 -w 76 {colab.root()}/large", seconds=60)
    seconds = time.monotonic() - started
    assert code == 0
    assert base64.b64decode(text, validate=False) == content
    print(size / seconds / 1e6, "MB/s")
    assert size / seconds >= 10e6
