"""The sound of a montage: exact length and place, one loudness, no clicks, ducking."""

from fractions import Fraction

import av
import numpy as np
import pytest

from montage_dask.errors import MediaError
from montage_dask.media.ffmpeg import run_ffmpeg
from montage_dask.media.loudness import measure_loudness
from montage_dask.media.probe import probe
from montage_dask.records import Event, Timeline
from montage_dask.render.audio import render_audio
from montage_dask.render.source_sound import lay_out

RATE = 48_000


def write_sound(path, samples, rate=RATE, codec="pcm_s16le", layout="mono"):
    """Write float samples, [n] or [n, channels], as a sound file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        data = np.atleast_2d(np.asarray(samples, np.float32).T)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(data), format="fltp", layout=layout)
        frame.sample_rate = rate
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_sound(path):
    """Float samples [n, 2] of a result, as a player plays them."""
    raw = path.with_suffix(".raw")
    run_ffmpeg(["-i", str(path), "-f", "f32le", "-ac", "2", "-ar", str(RATE), str(raw)], about=path)
    return np.fromfile(raw, np.float32).reshape(-1, 2)


def timeline(frames=250, fps=Fraction(25), start=Fraction(0), fade=0, events=None):
    return Timeline(
        fps=fps,
        width=160,
        height=96,
        events=events or (Event(0, frames, "s", 0, Fraction(0)),),
        music_path="",
        music_start_seconds=start,
        style="",
        seed=0,
        fade_out_frames=fade,
    )


def noise(seconds, level=0.1, seed=0):
    return np.random.default_rng(seed).normal(0, level, round(seconds * RATE)).clip(-1, 1)


def clicks(seconds, every, first=0.0, level=0.9):
    """Short bursts at known times."""
    samples = noise(seconds, 0.0005)
    for t in np.arange(first, seconds - 0.01, every):
        at = round(t * RATE)
        samples[at : at + 96] = level * np.sign(np.sin(np.arange(96)))
    return samples


@pytest.mark.parametrize("loud", [0.003, 0.05, 0.5])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_loudness_peak_and_exact_length(tmp_path, loud, fps):
    music = write_sound(tmp_path / "m.wav", noise(12, loud))
    made = timeline(240, fps, start=Fraction(1, 3), fade=20)
    output = tmp_path / "out.m4a"
    record = render_audio(made, str(music), {}, output, keep_audio=False)
    level = measure_loudness(output)
    assert abs(level.integrated_lufs + 14) <= 0.5
    assert level.true_peak_db <= -1
    assert record["loudness_lufs"] == level.integrated_lufs
    assert len(read_sound(output)) == round(240 / fps * RATE)


def test_spiky_music_is_limited_and_still_loud(tmp_path):
    music = write_sound(tmp_path / "m.wav", clicks(10, 0.25) * 1.0)
    output = tmp_path / "out.m4a"
    record = render_audio(timeline(), str(music), {}, output, keep_audio=False)
    level = measure_loudness(output)
    assert level.true_peak_db <= -1
    assert record["gain_db"] <= 15  # not pressed flat
    assert level.integrated_lufs > -26


@pytest.mark.parametrize("kind", ["m.wav", "m.ogg", "m.mp3", "m.m4a", "m.opus", "m.flac"])
def test_the_music_stands_where_it_should(tmp_path, kind):
    """Bursts come within a millisecond of their time, whatever container and delay of the encoder."""
    wav = write_sound(tmp_path / "first.wav", clicks(12, 1.0, 0.5))
    music = tmp_path / kind
    if kind != "m.wav":
        run_ffmpeg(["-i", str(wav), str(music)], about=music)
    else:
        music = wav
    output = tmp_path / "out.m4a"
    made = timeline(200, start=Fraction(23, 10))
    render_audio(made, str(music), {}, output, keep_audio=False)
    sound = np.abs(read_sound(output)).max(axis=1)
    for t in (2.7, 5.7):
        wanted = round((np.ceil(t) + 0.5 - 2.3) * RATE)
        around = sound[wanted - 2400 : wanted + 2400]
        at = int(np.flatnonzero(around > around.max() * 0.5)[0]) - 2400
        assert abs(at) <= 96, at / RATE


def test_late_sound_of_a_video_counts_from_its_first_sample(tmp_path):
    wav = write_sound(tmp_path / "m.wav", clicks(6, 1.0, 0.5))
    video = tmp_path / "music.mkv"
    run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            "color=size=64x64:duration=8",
            "-itsoffset",
            "0.7",
            "-i",
            str(wav),
            "-c:a",
            "pcm_s16le",
            str(video),
        ],
        about=video,
    )
    output = tmp_path / "out.m4a"
    render_audio(timeline(100), str(video), {}, output, keep_audio=False)
    sound = np.abs(read_sound(output)).max(axis=1)
    first = int(np.flatnonzero(sound > sound.max() * 0.5)[0])
    assert abs(first - 0.5 * RATE) <= 96


def test_silence_stays_silent(tmp_path):
    music = write_sound(tmp_path / "m.wav", np.zeros(5 * RATE))
    output = tmp_path / "out.m4a"
    render_audio(timeline(), str(music), {}, output, keep_audio=False)
    sound = read_sound(output)
    assert len(sound) == 10 * RATE
    assert np.abs(sound).max() < 1e-3


def test_short_music_ends_in_silence_and_the_end_fades(tmp_path):
    music = write_sound(tmp_path / "m.wav", noise(3))
    output = tmp_path / "out.m4a"
    render_audio(timeline(), str(music), {}, output, keep_audio=False)
    sound = read_sound(output)
    assert np.abs(sound[RATE : 2 * RATE]).max() > 0.05
    assert np.abs(sound[round(3.1 * RATE) :]).max() < 1e-3
    music = write_sound(tmp_path / "long.wav", noise(12))
    render_audio(timeline(fade=50), str(music), {}, output, keep_audio=False)
    sound = read_sound(output)
    rms = [np.sqrt((sound[n : n + RATE // 4] ** 2).mean()) for n in (7 * RATE, 9 * RATE)]
    assert rms[1] < rms[0] * 0.8
    assert np.abs(sound[-RATE // 50 :]).max() < rms[0] / 4


def test_equal_input_gives_equal_bytes(tmp_path):
    music = write_sound(tmp_path / "m.wav", noise(5))
    for name in ("a.m4a", "b.m4a"):
        render_audio(timeline(100), str(music), {}, tmp_path / name, keep_audio=False)
    assert (tmp_path / "a.m4a").read_bytes() == (tmp_path / "b.m4a").read_bytes()
    assert {p.name for p in tmp_path.iterdir()} == {"m.wav", "a.m4a", "b.m4a"}


def _with_sound(path, samples, *, start=0):
    wav = write_sound(path.with_suffix(".wav"), samples)
    run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=160x96:rate=25:duration=8",
            "-i",
            str(wav),
            "-preset",
            "ultrafast",
            "-c:a",
            "aac",
            str(path),
        ],
        about=path,
    )
    source, _ = probe(path)
    return source


def test_kept_sound_is_in_place_and_ducks_the_music(tmp_path):
    """A tone in one clip is heard on its event only, and the music gets quieter under it."""
    seconds = np.arange(8 * RATE) / RATE
    tone = np.sin(2 * np.pi * 1000 * seconds) * 0.5
    tone[: 4 * RATE] = 0
    loud = _with_sound(tmp_path / "tone.mp4", tone)
    quiet = _with_sound(tmp_path / "quiet.mp4", np.zeros(8 * RATE))
    events = (
        Event(0, 100, quiet.identity, 0, Fraction(0)),
        Event(100, 200, loud.identity, 0, Fraction(2)),  # the tone starts 2 s later: at 6 s
        Event(200, 250, quiet.identity, 0, Fraction(0)),
    )
    music = write_sound(
        tmp_path / "m.wav", np.sin(2 * np.pi * 200 * np.arange(12 * RATE) / RATE) * 0.2
    )
    sources = {s.identity: s for s in (loud, quiet)}
    output = tmp_path / "out.m4a"
    render_audio(timeline(events=events), str(music), sources, output, keep_audio=True)
    sound = read_sound(output)[:, 0]

    def strength(hertz, begin, end):
        part = sound[round(begin * RATE) : round(end * RATE)]
        wave = np.exp(-2j * np.pi * hertz * np.arange(len(part)) / RATE)
        return abs((part * wave).mean())

    assert strength(1000, 6.1, 7.9) > 20 * strength(1000, 4.1, 5.9)
    assert strength(1000, 6.1, 7.9) > 20 * strength(1000, 8.1, 9.5)
    assert strength(200, 6.5, 7.9) < 0.7 * strength(200, 4.1, 5.9)
    onset = np.abs(np.diff(sound[round(5.9 * RATE) : round(6.1 * RATE)]))
    at = int(np.flatnonzero(onset > onset.max() * 0.5)[0]) / RATE + 5.9
    assert abs(at - 6.0) < 0.02
    assert abs(measure_loudness(output).integrated_lufs + 14) <= 0.5


def test_kept_sound_of_clips_without_sound_or_at_other_speed(tmp_path):
    tone = _with_sound(tmp_path / "tone.mp4", np.sin(np.arange(8 * RATE) / 8) * 0.5)
    events = (Event(0, 100, tone.identity, 0, Fraction(0), Fraction(2)),)
    music = write_sound(tmp_path / "m.wav", noise(5))
    outputs = []
    for keep in (True, False):
        output = tmp_path / f"{keep}.m4a"
        render_audio(
            timeline(events=events), str(music), {tone.identity: tone}, output, keep_audio=keep
        )
        outputs.append(output.read_bytes())
    assert outputs[0] == outputs[1]


def test_music_without_sound_is_refused(tmp_path):
    video = tmp_path / "mute.mp4"
    run_ffmpeg(["-f", "lavfi", "-i", "color=size=64x64:duration=1", str(video)], about=video)
    with pytest.raises(MediaError, match=r"mute\.mp4"):
        render_audio(timeline(), str(video), {}, tmp_path / "out.m4a", keep_audio=False)
    with pytest.raises(MediaError, match=r"gone\.ogg"):
        render_audio(
            timeline(), str(tmp_path / "gone.ogg"), {}, tmp_path / "o.m4a", keep_audio=False
        )


def _clip(path, sound, *options, seconds=8):
    """A clip of 25 pictures a second with a given sound."""
    picture = f"testsrc2=size=160x96:rate=25:duration={seconds}"
    run_ffmpeg(
        [
            "-f",
            "lavfi",
            "-i",
            picture,
            "-i",
            str(sound),
            "-preset",
            "ultrafast",
            *options,
            str(path),
        ],
        about=path,
    )
    return probe(path)[0]


def _kept(tmp_path, source, start, seconds):
    """The sound kept of a part of a clip, left channel."""
    frames = round(seconds * 25)
    made = timeline(frames, events=(Event(0, frames, source.identity, 0, Fraction(start)),))
    assert lay_out(made, {source.identity: source}, tmp_path / "kept.f32") == 1
    return np.fromfile(tmp_path / "kept.f32", np.float32).reshape(-1, 2)[:, 0]


def test_kept_sound_follows_the_clock_that_its_pictures_have(tmp_path):
    """Where the sound pauses, it does so in the montage: what is seen and heard together stays together."""
    wav = write_sound(tmp_path / "s.wav", clicks(6, 1.0, 0.5))
    gap = "asetnsamples=1024,asetpts='PTS+if(gte(T,3),0.3/TB,0)'"
    source = _clip(tmp_path / "gap.mkv", wav, "-af", gap, "-c:a", "pcm_s16le")
    sound = np.abs(_kept(tmp_path, source, 2, 4))
    found = np.flatnonzero(sound > 0.4) / RATE
    assert len(found)
    for wanted in (0.5, 1.8, 2.8):
        assert np.abs(found - wanted).min() < 0.002
    assert not ((found > 1.4) & (found < 1.7)).any()


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "aac"), ("a.ts", "mp2"), ("a.mp4", "aac")])
def test_kept_sound_has_no_holes_where_stamps_are_rounded(tmp_path, name, codec):
    """Matroska counts in milliseconds, and no frame of sound is as long as whole ones."""
    tone = np.sin(2 * np.pi * 500 * np.arange(8 * 44_100) / 44_100) * 0.5
    wav = write_sound(tmp_path / "s.wav", tone, 44_100)
    source = _clip(tmp_path / name, wav, "-c:a", codec)
    sound = _kept(tmp_path, source, 2, 4)[RATE // 10 : -RATE // 10]
    steps = np.abs(np.diff(sound))
    assert steps.max() < 1.3 * np.percentile(steps, 95)


def test_kept_sound_goes_on_where_its_format_changes(tmp_path):
    wav = write_sound(tmp_path / "s.wav", clicks(8, 1.0, 0.5))
    parts = []
    for number, options in enumerate((["-ac", "2"], ["-ac", "1", "-ar", "32000"])):
        part = tmp_path / f"{number}.aac"
        cut = ["-ss", str(4 * number), "-t", "4", "-i", str(wav)]
        run_ffmpeg([*cut, *options, str(part)], about=part)
        parts.append(part.read_bytes())
    joined = tmp_path / "joined.aac"
    joined.write_bytes(b"".join(parts))
    source = _clip(tmp_path / "joined.ts", joined, "-c:a", "copy", "-bsf:a", "null")
    sound = np.abs(_kept(tmp_path, source, 1, 6))
    assert sound[: 2 * RATE].max() > 0.4
    assert sound[4 * RATE :].max() > 0.2


def test_kept_sound_before_time_0_is_in_sync(tmp_path):
    """A recording whose 33-bit clock begins again after 4 s, so that it starts before 0: beeps at 1 s, 3 s and 5 s."""
    path = tmp_path / "wrap.ts"
    beep = "between(mod(t,2),1,1.1)"
    run_ffmpeg(
        [
            "-f", "lavfi", "-i", "color=gray:size=64x64:rate=25:duration=6",
            "-f", "lavfi", "-i", f"aevalsrc='0.7*sin(2000*t)*{beep}':s=48000:d=6",
            "-c:v", "mpeg2video", "-g", "5", "-c:a", "mp2", "-output_ts_offset", "95439.7", f"file:{path}",
        ],
        about=path,
    )  # fmt: skip
    source, _ = probe(path)
    assert source.start_pts < 0
    made = timeline(100, events=(Event(0, 100, source.identity, 0, Fraction(1, 2)),))
    assert lay_out(made, {source.identity: source}, tmp_path / "kept.f32") == 1
    heard = np.abs(np.fromfile(tmp_path / "kept.f32", np.float32).reshape(-1, 2)[:, 0])
    for second in (0.5, 2.5):
        at = round(second * RATE)
        assert heard[at - RATE // 4 : at - RATE // 50].max() < 0.05
        assert heard[at + RATE // 50 : at + RATE // 12].max() > 0.4
