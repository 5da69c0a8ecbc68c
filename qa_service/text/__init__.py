"""Text as the model sees it, and positions within a text."""
