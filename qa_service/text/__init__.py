"""Cleaning of text for the embedding model, and positions within a text."""
