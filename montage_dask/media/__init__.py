"""Files as video and audio: probe, windows, decode, and the only place that starts ffmpeg."""
