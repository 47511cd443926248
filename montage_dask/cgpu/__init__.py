"""A reliable driver over the `cgpu` command: a runtime with a GPU on Google Colab, reached through a typed shell."""
