"""The chat widget and the playground, which run in the browser; ``routes/widget.py`` serves them."""
