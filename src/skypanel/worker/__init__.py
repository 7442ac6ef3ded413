"""The worker: the only process that is root. It runs jobs, watches containers, and reconciles."""
