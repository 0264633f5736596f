"""Readers of files from strangers are given broken ones: ``python -m tests.fuzz --inputs 100000``."""
