"""The Docker Engine's API, as far as the cluster needs it."""
