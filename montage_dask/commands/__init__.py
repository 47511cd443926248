"""The commands: they parse, call the API, and print. Data goes to stdout, everything for people to stderr."""
