"""Arithmetic on values: no database, no clock."""
