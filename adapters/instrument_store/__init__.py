"""The imported instrument master: dated definitions in files, found by symbol or key, searched."""
