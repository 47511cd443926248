"""What the pods can reach of what a job names: folders of the claim, and buckets; found out before any work is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from distributed import Client

from montage_dask.cluster.specs import STANDING
from montage_dask.errors import ClusterError, MontageError, printable
from montage_dask.store import Place, Url, objects, place_of

AUTOMATIC, NO_CLAIM = "auto", "none"
"""What the setting kubernetes-claim may be beside the name of a claim."""

BUCKET_SECONDS = 20.0
"""So soon a bucket answers that can be reached."""


def claim_for(chosen: str, places: Sequence[Place] | None) -> str | None:
    """The PersistentVolumeClaim that the pods of a cluster get; None: none.

    Args:
        chosen: the setting.
        places: what the job reads and writes; None: not known, so it may be paths.
    """
    if chosen == NO_CLAIM:
        return None
    if chosen != AUTOMATIC:
        return chosen
    return None if places and all(isinstance(p, Url) for p in places) else STANDING


def check_places(
    places: Sequence[Place] | None, folders: Mapping[str, str | None], folder: str
) -> None:
    """Make sure that no file or folder is named that only this machine has.

    Args:
        places: what the job reads and writes; None: not known yet.
        folders: where pods see folders of others, with the claim behind each.
        folder: where they are expected to see the claim.

    Raises:
        ClusterError: the pods cannot see one of the places, or this machine does not have their folder.
    """
    if places is not None and all(isinstance(p, Url) for p in places):
        return
    paths = [p for p in places or () if isinstance(p, Path)]
    outside = [p for p in paths if not any(p.is_relative_to(f) for f in folders)]
    known = " and ".join(f"{f} (claim {c})" if c else f for f, c in folders.items())
    if outside and not known:
        raise ClusterError(
            f"{printable(str(outside[0]))} is on this machine; the pods have no claim and see only buckets: name a URL "
            "(s3://, gs://) for it, or the claim with it by the setting kubernetes-claim"
        )
    if outside and len(paths) < len(places or ()):
        raise ClusterError(
            f"{printable(str(outside[0]))} is on this machine; the pods see only {known} and buckets: put it into the bucket, "
            "too, and name its URL, or put it below that folder"
        )
    if folder in folders and not Path(folder).is_dir():
        raise ClusterError(
            f"no folder {folder} here, where the pods see the claim {folders[folder]}: mount the same storage at the same place, "
            "name the place by the setting kubernetes-folder, or run in the cluster (job.yaml)"
        )
    if outside:
        raise ClusterError(
            f"{printable(str(outside[0]))} is on this machine; the pods see only {known}: put it below that folder, or into a "
            "bucket and name its URL"
        )


def check_buckets(client: Client, places: Sequence[Place] | None) -> None:
    """Let the scheduler, whose environment is that of the workers, look into each bucket.

    Raises:
        ClusterError: it cannot, and why.
    """
    urls = {p.bucket: p for p in reversed(places or ()) if isinstance(p, Url)}
    if not urls:
        return
    answer = client.run_on_scheduler(look_into, [str(u) for u in urls.values()])
    if answer:
        raise ClusterError(
            f"the pods {answer}; their credentials come from the Secret montage-storage (or a role of their service account)"
        )


async def look_into(urls: Sequence[str]) -> str:
    """Runs in the scheduler: what is wrong with the first bucket that cannot be used; "" when all is well."""
    for url in urls:
        try:
            await asyncio.wait_for(asyncio.to_thread(_look, url), BUCKET_SECONDS)
        except TimeoutError:
            return (
                f"cannot read {printable(url)}: no answer within {BUCKET_SECONDS:.0f} s: check the network, and AWS_ENDPOINT_URL "
                "if it is set"
            )
        except MontageError as error:
            # Some may read their objects, but not ask for the bucket.
            if not isinstance(error.__cause__, PermissionError):
                return str(error)
    return ""


def _look(url: str) -> None:
    place = place_of(url)
    assert isinstance(place, Url)
    objects.check_bucket(place)
