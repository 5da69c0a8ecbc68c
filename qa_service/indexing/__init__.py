"""Documents -> a generation of the index, on this machine or on a cluster."""
