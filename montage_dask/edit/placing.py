"""Room for pins that name their place: the first shot, the last one, or the one that begins on a beat."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from montage_dask.edit.choose import FIRST, LABELS, LAST, Pin
from montage_dask.edit.pacing import Slot, nearest_frame
from montage_dask.errors import UsageError
from montage_dask.records import Music


def frames_of(pin: Pin, fps: Fraction) -> int:
    """Output frames that the longest shot of a pin can fill at full speed."""
    return max(math.floor(s.duration_seconds * fps) for s in pin.shots)


def place_of(pin: Pin) -> str:
    """Where a pin goes, for people."""
    if pin.music_seconds is not None:
        return f"{float(pin.music_seconds):.2f} s of the music"
    return pin.place


def make_places(
    slots: Sequence[Slot], pins: Sequence[Pin], music: Music, start: Fraction, fps: Fraction
) -> tuple[tuple[Slot, ...], dict[int, int]]:
    """The slots with one for every pin that names its place, no longer than the pinned shot.

    New cuts lie on beats where a beat leaves the pinned shot long enough.

    Args:
        slots: contiguous from frame 0.
        pins: those with a place are looked at; sections are not places of their own.
        music: its beats.
        start: music time of frame 0.
        fps: output frames per second.

    Returns:
        The slots, and the first frame of the slot of each such pin by the pin's number.

    Raises:
        UsageError: two pins want one place, or the beat lies outside the montage.
    """
    made = _Places(list(slots), beat_frames(music, start, slots[-1].stop_frame, fps))
    found: dict[int, int] = {}
    ended = False
    # Beats first: the first and the last slot are what then is left at the ends.
    for number in sorted(range(len(pins)), key=lambda n: (pins[n].music_seconds is None, n)):
        pin = pins[number]
        if pin.music_seconds is not None:
            slot = made.beginning_at(pin.music_seconds - start, fps)
        elif pin.place == FIRST:
            slot = 0
        elif pin.place == LAST:
            slot = made.at_the_end(list(found.values()))
        else:
            continue
        at_end = pin.music_seconds is None and pin.place == LAST
        if made.slots[slot].start_frame in found.values() or (at_end and ended):
            raise UsageError(
                f"two pins want the same place ({place_of(pin)}): pin one of them elsewhere"
            )
        allowed = frames_of(pin, fps)
        if allowed < 1:
            raise UsageError("a pinned shot is shorter than one output frame: pin another moment")
        found[number] = made.shortened(slot, allowed, at_end=at_end)
        ended |= at_end
    return tuple(made.slots), found


class _Places:
    """Slots that are being divided."""

    def __init__(self, slots: list[Slot], beats: dict[int, Fraction]) -> None:
        self.slots = slots
        self.beats = beats

    def divide(self, number: int, frame: int) -> None:
        """Cut a slot in two at a frame inside it."""
        slot = self.slots[number]
        rest = replace(
            slot, start_frame=frame, beat_seconds=self.beats.get(frame), opens_section=False
        )
        self.slots[number : number + 1] = [replace(slot, stop_frame=frame), rest]

    def beginning_at(self, seconds: Fraction, fps: Fraction) -> int:
        """Number of the slot that begins on the beat nearest to a time of the montage."""
        stop = self.slots[-1].stop_frame
        wanted = nearest_frame(seconds, fps)
        if not 0 <= wanted < stop:
            raise UsageError(
                f"a pin at {float(seconds):.2f} s lies outside the montage, "
                f"which lasts {float(stop / fps):.2f} s"
            )
        frame = min(self.beats or {wanted: seconds}, key=lambda f: (abs(f - wanted), f))
        number = next(k for k, s in enumerate(self.slots) if frame < s.stop_frame)
        if self.slots[number].start_frame == frame:
            return number
        self.divide(number, frame)
        return number + 1

    def at_the_end(self, taken: Collection[int]) -> int:
        """Number of the last slot; it is halved when another pin begins with it."""
        last = self.slots[-1]
        if last.start_frame in taken:
            if last.frames < 2:
                raise UsageError("the montage is too short for its pins: make it longer")
            middle = (last.start_frame + last.stop_frame) // 2
            inside = [f for f in self.beats if last.start_frame < f < last.stop_frame]
            self.divide(
                len(self.slots) - 1,
                min(inside, key=lambda f: (abs(f - middle), f)) if inside else middle,
            )
        return len(self.slots) - 1

    def shortened(self, number: int, allowed: int, *, at_end: bool) -> int:
        """First frame of the slot, after it was divided when it was longer than `allowed` frames."""
        slot = self.slots[number]
        if slot.frames <= allowed:
            return slot.start_frame
        if at_end:
            least = slot.stop_frame - allowed
            inside = [f for f in self.beats if least <= f < slot.stop_frame]
            self.divide(number, min(inside, default=least))
            return self.slots[number + 1].start_frame
        most = slot.start_frame + allowed
        inside = [f for f in self.beats if slot.start_frame < f <= most]
        self.divide(number, max(inside, default=most))
        return slot.start_frame


def beat_frames(music: Music, start: Fraction, frames: int, fps: Fraction) -> dict[int, Fraction]:
    """Beats of the music by the output frame nearest to them; the first of those that share one."""
    found: dict[int, Fraction] = {}
    for beat in music.beats_seconds:
        frame = nearest_frame(beat - start, fps)
        if beat >= start and frame < frames:
            found.setdefault(frame, beat)
    return found


def misplaced(slots: Sequence[Slot], pinned: Sequence[int], pins: Sequence[Pin]) -> list[str]:
    """What there is to say about pins whose section the montage does not have."""
    places: Mapping[int, str] = {p: slots[k].label for k, p in enumerate(pinned) if p >= 0}
    return [
        f"there is no room in a part {pins[p].place!r} of the music: what was pinned there is elsewhere"
        for p, label in sorted(places.items())
        if pins[p].music_seconds is None and pins[p].place in LABELS and pins[p].place != label
    ]
