"""Codecs and containers of every kind: file name → options that make one with ffmpeg."""

from __future__ import annotations

from makers import X264

X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")
VPX = ("-deadline", "good", "-cpu-used", "5", "-threads", "1", "-b:v", "300k", "-g", "20")

KINDS = {
    "bframes.mp4": (*X264, "-bf", "3", "-g", "24"),
    "pyramid.mkv": ("-c:v", "libx264", "-preset", "fast", "-bf", "4", "-g", "17", "-threads", "1"),
    "opengop.mp4": (*X265, "open-gop=1:keyint=15:min-keyint=15:bframes=4:pools=1:log-level=error"),
    "opengop264.mkv": (*X264, "-bf", "3", "-g", "15", "-x264-params", "open-gop=1"),
    "vp8.webm": ("-c:v", "libvpx", *VPX, "-auto-alt-ref", "1", "-lag-in-frames", "16"),
    "vp9.webm": ("-c:v", "libvpx-vp9", *VPX, "-auto-alt-ref", "1", "-lag-in-frames", "16"),
    "av1.mkv": ("-c:v", "libsvtav1", "-preset", "13", "-g", "20", "-svtav1-params", "lp=1"),
    "bframes.avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "15", "-q:v", "5"),
    "prores.mov": ("-c:v", "prores_ks", "-profile:v", "0"),
    "ffv1.mkv": ("-c:v", "ffv1", "-g", "10"),
    "mpeg2.ts": ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4"),
    "mpeg2.mpg": ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-q:v", "4"),
    "gif.gif": ("-c:v", "gif"),
    "wmv.wmv": ("-c:v", "wmv2", "-g", "20", "-q:v", "4"),
    "flv.flv": ("-c:v", "flv", "-g", "20", "-q:v", "4"),
    "ten.mkv": (*X264, "-pix_fmt", "yuv420p10le", "-g", "20"),
    "full.mp4": (*X264, "-pix_fmt", "yuv444p", "-g", "20"),
    "mjpeg.mov": ("-c:v", "mjpeg", "-q:v", "4"),
}
