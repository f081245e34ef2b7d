"""Folds: steps that need the whole corpus, from deduplication to reports."""
