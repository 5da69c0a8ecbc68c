"""Readers of question files and relevance judgements, one module per format."""
