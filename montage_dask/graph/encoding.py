"""Which encoder the parts of one file get, and where: never two encoders in one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from montage_dask.errors import ClusterError, MontageError, TargetFailed
from montage_dask.graph.costs import Work
from montage_dask.graph.drive import Driver
from montage_dask.graph.placement import Placement
from montage_dask.graph.survey import Settings
from montage_dask.graph.targets import place_on
from montage_dask.media.encoders import working_encoder


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to encode all parts."""

    encoder: str | None
    """A GPU's; None: the codec's software encoder."""
    placement: Placement
    """Without another target behind it: that one has another encoder."""


def choices(
    driver: Driver, operation: str, settings: Settings, codec: str, work: Work
) -> list[Choice]:
    """How to encode: the preferred way first; the next one is for when a GPU fails in the middle, and encodes all parts again.

    Args:
        driver: knows the workers.
        operation: encode or transcode.
        settings: may force a target.
        codec: of the result.
        work: what it takes in software.

    Raises:
        ClusterError: no worker can encode at all.
    """
    chosen = place_on(driver, operation, settings.targets, work)
    if chosen.target == "cpu":
        return [Choice(None, chosen)]
    forced = settings.targets.wanted.get(operation) == chosen.target == "cgpu"
    software = Placement(operation, "cpu", "what every CPU worker can do")
    on_gpu = Placement(operation, chosen.target, chosen.reason)
    failure: MontageError | None = None
    try:
        encoder, why = driver.ask(on_gpu, working_encoder, codec)
    except (ClusterError, MontageError) as error:
        encoder, why, failure = None, str(error), error
    if encoder is None and forced and not isinstance(failure, TargetFailed):
        # The software encoder is the same there: segments of both machines go together.
        reason = f"{chosen.reason}; without a GPU encoder: {why}"
        return [Choice(None, replace(chosen, reason=reason))]
    if encoder is None:
        return [Choice(None, Placement(operation, "cpu", f"no GPU encoder works: {why}"))]
    reason = f"{on_gpu.reason}; {encoder} encoded a few frames"
    first = Choice(encoder, Placement(operation, on_gpu.target, reason))
    return [first, Choice(None, software)]


def encoder_parameter(encoder: str | None) -> Mapping[str, str]:
    """What a request says of its encoder: nothing for software, so that its key stays what it was."""
    return {} if encoder is None else {"encoder": encoder}
