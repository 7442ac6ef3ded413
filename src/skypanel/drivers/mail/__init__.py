"""Letters: a port, a driver for SMTP, and one for platforms that send none."""
