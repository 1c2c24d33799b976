"""Extracted features on disk: file names, checksums, records, and reading. Imports no jax."""
