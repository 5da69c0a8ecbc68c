"""Formats of question files and judgements, a module each."""
