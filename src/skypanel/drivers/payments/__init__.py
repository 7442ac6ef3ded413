"""Payments by card: a port, and a driver for Stripe Checkout."""
