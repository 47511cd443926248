"""`cgpu train`: a user's script runs there with the user's data, and what it writes comes back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from colab import Colab
from jobs import montage

pytestmark = pytest.mark.cgpu

SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np

data = np.loadtxt(Path(os.environ["DATA"]) / "points it's.csv", delimiter=",")
weights = np.zeros(2)
for epoch in range(int(sys.argv[sys.argv.index("--epochs") + 1])):
    wrong = data[:, 0] * weights[0] + weights[1] - data[:, 1]
    weights -= 0.1 * np.array([(wrong * data[:, 0]).mean(), wrong.mean()])
    if epoch % 100 == 0:
        print(f"epoch {epoch}: loss {np.square(wrong).mean():.4f}")
out = Path(os.environ["OUTPUT"])
(out / "plots").mkdir()
np.save(out / "weights.npy", weights)
(out / "plots" / "note !.txt").write_text("done")
if "--fail" in sys.argv:
    sys.exit("the loss is not a number")
"""


@pytest.fixture
def far(
    colab: Colab, cgpu_binary: Path, cgpu_environment: dict[str, str], tmp_path: Path
) -> dict[str, str]:
    return cgpu_environment | {
        "DASK_MONTAGE__CGPU_BINARY": str(cgpu_binary),
        "DASK_MONTAGE__CGPU_FOLDER": f"{colab.root()}/montage-dask",
        "DASK_MONTAGE__CGPU_PYTHON": sys.executable,
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    import numpy as np

    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    x = np.linspace(-1, 1, 50)
    np.savetxt(folder / "data" / "points it's.csv", np.stack([x, 3 * x + 1], 1), delimiter=",")
    (folder / "fit line.py").write_text(SCRIPT)
    return folder


def test_weights_come_back(project: Path, far: dict[str, str]) -> None:
    import numpy as np

    done = montage(
        "cgpu", "train", "fit line.py", "--data", "data", "-o", "made", "--", "--epochs", "300",
        cwd=project, **far,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    np.testing.assert_allclose(np.load(project / "made" / "weights.npy"), [3, 1], atol=1e-3)
    assert (project / "made" / "plots" / "note !.txt").read_text() == "done"
    assert "epoch 200: loss" in done.stderr
    assert done.stdout.split("\n")[:2] == ["made/plots/note !.txt", "made/weights.npy"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("fit line.py", "--data", "data", "-o", "made", "--", "--epochs", "1", "--fail"), 1,
         "fit line.py failed on the runtime (code 1): the loss is not a number"),
        (("none.py", "-o", "made"), 2, "none.py: no such file"),
        (("fit line.py", "--data", "none", "-o", "made"), 2, "none: no such file"),
    ],
)  # fmt: skip
def test_what_fails_says_why_and_writes_nothing(
    project: Path, far: dict[str, str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = montage("cgpu", "train", *arguments, cwd=project, **far)
    assert done.code == code
    assert said in done.stderr.splitlines()[-1]
    assert not (project / "made").exists()


def test_the_example_of_the_documentation(far: dict[str, str], tmp_path: Path) -> None:
    import cv2
    import numpy as np
    import torch

    text = (Path(__file__).parents[2] / "docs" / "cgpu.md").read_text()
    (tmp_path / "classify.py").write_text(text.split("```python\n")[1].split("```")[0])
    rng = np.random.default_rng(0)
    for name, level in (("day", 180), ("night", 40)):
        (tmp_path / "frames" / name).mkdir(parents=True)
        for number in range(4):
            picture = rng.integers(0, 60, (54, 96, 3)) + level
            cv2.imwrite(str(tmp_path / "frames" / name / f"{number}.jpg"), picture)
    done = montage(
        "cgpu", "train", "classify.py", "--data", "frames", "-o", "trained", "--", "41",
        cwd=tmp_path, **far,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    losses = [float(line.split()[3]) for line in done.stderr.splitlines() if "loss" in line]
    assert losses[-1] < losses[0]
    assert (tmp_path / "trained" / "classes.txt").read_text().split() == ["day", "night"]
    assert torch.load(tmp_path / "trained" / "classify.pth", map_location="cpu")
