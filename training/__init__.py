"""Trains the reader, the small model of ``qa_service/reading``, on two cores overnight: see README.md beside this file.

``start_weights`` takes layers of a published model, ``windows`` retrieves texts to learn from, ``examples``,
``changes`` and ``sampling`` make batches of them, ``model`` and ``train`` learn, ``export`` writes the graph in 8 bits.
"""

import qa_service  # noqa: F401 - it switches telemetry off before ONNX Runtime is loaded
