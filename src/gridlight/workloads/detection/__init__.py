"""Object detection: the first workload, and the model it ships with."""
