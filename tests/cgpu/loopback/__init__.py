"""Rooms of the loopback Colab; `colab` (beside this folder) is its front door."""
