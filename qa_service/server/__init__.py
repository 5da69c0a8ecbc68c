"""HTTP: the application (``app``), the process that serves it (``process``) and what surrounds them."""
