"""Which runtime a call goes to, and what it says when there is none."""

from __future__ import annotations

import json

import pytest
from calling import Cgpu
from colab import Colab

pytestmark = pytest.mark.cgpu


def assigned(colab: Colab) -> int:
    return colab.count("POST", "/tun/m/assign")


def test_a_runtime_is_used_again(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("touch marker")
    assert cgpu.remote("ls") == (0, "marker\n")
    assert assigned(colab) == 1


def test_new_runtimes_are_not_addressable(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("touch marker")
    assert cgpu("run", "--new-runtime", "ls").stdout.splitlines()[1:] == []
    assert len(colab.runtimes) == 2
    assert cgpu.remote("ls") == (0, "marker\n")


def test_one_runtime_for_each_kind(cgpu: Cgpu, colab: Colab) -> None:
    for option in (["--cpu"], ["--tpu"], []):
        assert cgpu("run", *option, "--", "true").returncode == 0
    assert [(m.variant, m.accelerator) for m in colab.runtimes] == [
        ("DEFAULT", "NONE"),
        ("TPU", "V2-8"),
        ("GPU", "T4"),
    ]
    assert len({machine.root for machine in colab.runtimes}) == 3


def test_known_gpus_come_first_in_the_order_as_reported(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.eligible_gpus = ["H100", "T4", "L4"]
    colab.knobs.scarce = ["T4"]
    cgpu.remote("true")
    tried = [each.query["accelerator"] for each in colab.requests if each.method == "POST"
             and each.path == "/tun/m/assign"]  # fmt: skip
    assert tried == ["T4", "L4"]
    assert colab.runtimes[0].accelerator == "L4"


@pytest.mark.parametrize("listed", [False, True])
def test_a_lost_runtime_is_silently_replaced(cgpu: Cgpu, colab: Colab, listed: bool) -> None:
    cgpu.remote("touch marker; echo $LOOPBACK_VM")
    first = colab.runtimes[0].id
    assert colab.lose_runtime(listed=listed) == 1
    ended = cgpu("run", "--", "ls; echo $LOOPBACK_VM")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines()[1:] == [colab.runtimes[0].id]
    assert colab.runtimes[0].id != first


def test_a_failing_list_means_a_new_runtime(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    colab.knobs.for_next(1, list_status=500)
    ended = cgpu("run", "true")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert assigned(colab) == 2


def test_three_runs_on_one_runtime_end_with_their_own_codes(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    running = [cgpu.start("run", "--", f"sleep 0.3; sh -c 'exit {code}'") for code in (1, 2, 3)]
    assert [process.wait(30) for process in running] == [1, 2, 3]
    for process in running:
        process.communicate()
    assert assigned(colab) == 1


def test_three_cold_runs_make_three_runtimes(cgpu: Cgpu, colab: Colab) -> None:
    # Late enough for all to see an empty list.
    colab.knobs.latency = 0.1
    running = [cgpu.start("run", "true") for _ in range(3)]
    for process in running:
        process.communicate(timeout=30)
    assert assigned(colab) == 3


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (1, "Insufficient quota to assign server"),
        (2, "Insufficient quota to assign server"),
        (5, "Account has been blocked from accessing Colab servers."),
    ],
)
def test_outcomes(cgpu: Cgpu, colab: Colab, outcome: int, text: str) -> None:
    colab.knobs.assign_outcome = outcome
    ended = cgpu("run", "true")
    assert (ended.returncode, ended.stderr.strip()) == (1, text)
    assert ended.stdout == "Authenticated as Me <me@example.com>\n"


def test_too_many_runtimes(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.assign_status = 412
    ended = cgpu("run", "true")
    text = "Disconnect other runtimes from https://colab.research.google.com/ and try again."
    assert (ended.returncode, ended.stderr.strip()) == (1, text)
    ended = cgpu("run", "--new-runtime", "true")
    assert ended.returncode == 1
    assert ended.stderr.strip() == (
        "Colab refused to attach a brand-new GPU runtime. Disconnect existing sessions from the Colab UI "
        "or rerun without --new-runtime to reuse one."
    )


def test_too_many_runtimes_of_which_one_is_ours(cgpu: Cgpu, colab: Colab) -> None:
    cgpu.remote("true")
    colab.knobs.assign_status = 412
    colab.knobs.for_next(1, list_status=500)
    assert cgpu("run", "true").returncode == 0
    assert len(colab.runtimes) == 1


def test_no_capacity_is_said_only_when_verbose(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.assign_status = 503
    ended = cgpu("run", "true")
    assert (ended.returncode, ended.stderr) == (1, "")
    ended = cgpu("run", "-v", "true")
    assert ended.returncode == 1
    assert (
        "✖ Colab is temporarily out of GPU capacity for this account (tried: T4). Give it a minute and retry, "
        "or reuse/disconnect runtimes from the Colab UI."
    ) in ended.stderr


def test_no_eligible_gpu(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.eligible_gpus = []
    ended = cgpu("run", "true")
    text = "No eligible GPU accelerators reported by Colab for this account."
    assert (ended.returncode, ended.stderr.strip()) == (1, text)


def test_another_http_error(cgpu: Cgpu, colab: Colab) -> None:
    colab.knobs.set(assign_status=429, assign_body="slow down")
    ended = cgpu("run", "true")
    assert ended.returncode == 1
    first, second = ended.stderr.splitlines()
    assert first.startswith(f"Failed request POST {colab.url}/tun/m/assign?")
    assert first.endswith(": Too Many Requests")
    assert second == "Response body: slow down"


@pytest.mark.parametrize(
    "knobs", [{"ccu_body": '{"gpus": ["T4"]}'}, {"assign_body": '{"outcome": 4}'}]
)
def test_colab_changes_its_json(cgpu: Cgpu, colab: Colab, knobs: dict[str, str]) -> None:
    colab.knobs.set(**knobs)
    ended = cgpu("run", "true")
    assert ended.returncode == 1
    assert {issue["code"] for issue in json.loads(ended.stderr)} == {"invalid_type"}


def test_verbose_says_where_it_runs(cgpu: Cgpu) -> None:
    assert "✔ Assigned GPU runtime T4" in cgpu("run", "-v", "true").stderr
    again = cgpu("run", "-v", "true").stderr
    assert "- Checking for existing Colab GPU runtimes..." in again
    assert "✔ Reusing GPU runtime T4" in again
