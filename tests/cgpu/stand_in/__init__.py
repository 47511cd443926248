"""Rooms of the stand-in for cgpu 0.1.4; `cgpu_stand_in.py` (beside this folder) is the executable.

Standard library only, and little of it: a call must start in a fraction of a second.
"""
