"""What a finished montage is worth, without people: figures, and one score of them. See docs/judge.md."""
