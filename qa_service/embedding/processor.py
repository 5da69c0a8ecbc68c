"""The cores and the instruction sets of this machine's processor."""

from pathlib import Path


def cpu_flags() -> frozenset[str]:
    """Return the instruction sets of the first core, by their names in Linux; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1] for line in lines if line.startswith("flags")), "").split())


def usable_cores() -> int:
    """Return the number of cores that this process may use, limited by a container's quota, rounded up."""
    from joblib import cpu_count  # noqa: PLC0415 - only to build or evaluate

    return int(cpu_count())
