"""A loopback Colab as a program of its own, for clients in other pods:

    python serve_colab.py PORT URL FOLDER      # ends with SIGTERM

listens on all addresses, tells clients that it is at URL, and leaves in FOLDER what a signed-in cgpu needs: `authority.pem`,
`config/` with config.json and state/session.json, and last `colab.json`, which names the runtime's folder. That one is temporary.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from colab import loopback_colab


def main(port: str, url: str, folder: str) -> None:
    into = Path(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with (
        tempfile.TemporaryDirectory() as own,
        loopback_colab(Path(own), listen=("0.0.0.0", int(port)), url=url) as running,
    ):
        variables = running.environment(Path(own) / "config")
        shutil.copy(variables["NODE_EXTRA_CA_CERTS"], into / "authority.pem")
        shutil.copytree(Path(own) / "config", into / "config")
        (into / "colab.json").write_text(json.dumps({"runtime": str(running.root())}))
        signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
