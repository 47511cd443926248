"""What is in the footage and the music: strip, shots, features, beats, structure."""
