"""From a timeline to a file: segments, grade, audio, assembly."""
