"""The machines that applications run on: what they have, whether they are there, drained and removed.

Do: keep their rows true, move applications away before a machine goes. Don't: decide where a replica runs.
"""
