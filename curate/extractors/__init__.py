"""Extractors: what turns the HTML of one page into the text of its main content, one module an engine."""
