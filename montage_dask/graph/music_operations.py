"""The operation that fits a track to a length. See `graph.operations`."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from montage_dask.graph.operation import Context, Operation, Request, register
from montage_dask.records import Music, MusicFit, from_json, to_json
from montage_dask.store import writing


def _music_fit(request: Request, context: Context) -> dict[str, Any]:
    import numpy as np

    from montage_dask.analysis.bar_features import bar_features
    from montage_dask.analysis.onset import onset_envelopes
    from montage_dask.analysis.onset_torch import extractor
    from montage_dask.edit.music_fit import Join, bars_for, choose_joins, join_costs, told
    from montage_dask.media.audio import mono_blocks
    from montage_dask.media.loudness import measure_loudness
    from montage_dask.media.probe import fingerprint
    from montage_dask.render import music_fit
    from montage_dask.render.source_sound import SAMPLE_RATE

    p, path = request.parameters, request.paths["path"]
    music = from_json(Music, request.paths["music"])
    start, wish, rate = Fraction(p["start"]), Fraction(p["duration"]), SAMPLE_RATE
    output = context.file(request, ".wav")
    with (
        writing(output) as part,
        music_fit.decoded(path, round(start * rate), part.parent) as track,
    ):
        end_sample = track.end_sample
        end = Fraction(end_sample, rate)
        bars = bars_for(music, start, end, wish)
        joins: list[Join] | None = None
        if bars is not None:
            lines = np.array([float(s) for s in bars.lines_seconds])
            played = float(wish - (end - start)) + lines[-1] - lines[0]
            if abs(float(wish - (end - start))) <= (lines[-1] - lines[0]) / (len(lines) - 1) / 2:
                joins = []
            else:
                features = bar_features(
                    onset_envelopes(mono_blocks(path), extractor(context.device)), lines
                )
                costs = join_costs(features, lines, bars.phases)
                joins = choose_joins(costs, lines, kept=bars.kept, played=played)
        places = [
            (round(bars.lines_seconds[j.out_line] * rate), round(bars.lines_seconds[j.in_line] * rate))
            for j in joins or ()
            if bars is not None
        ]  # fmt: skip
        pieces = music_fit.pieces_of(track, end_sample, places)
        length = sum(q.stop_sample - q.start_sample for q in pieces)
        samples = max(length, round(wish * rate)) if p["exact"] else length
        music_fit.write_fitted(track, pieces, samples, part, about=path)
        loudness = measure_loudness(part)
        fit = MusicFit(path, music.identity, fingerprint(part), rate, pieces, samples)
    return {
        "fit": to_json(fit),
        "fits": joins is not None,
        "costs": [round(j.cost, 4) for j in joins or ()],
        "told": told(joins, bars, end - start, fit) if joins is not None and bars else "",
        "loudness_lufs": loudness.integrated_lufs,
        "true_peak_db": loudness.true_peak_db,
    }


register(Operation("music_fit", "render.music_fit", _music_fit, files=(".wav",)))
