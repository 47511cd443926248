"""How the tests of the API make their montages: small."""

SMALL = {
    "size": "160x90", "fps": 25, "quality": "preview", "duration": 3, "performance_report": False,
}  # fmt: skip
