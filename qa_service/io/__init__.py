"""Reading and writing that neither loses nor misreads anything: strict JSON, crash-safe files."""
