"""Strict JSON and crash-safe files."""
