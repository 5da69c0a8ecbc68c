"""The chat widget and the playground: what browsers run. Served by ``api/widget.py``, tested in a browser."""
