"""Curate web crawls into training corpora, with an account of every document."""

__version__ = "0.1.0"
