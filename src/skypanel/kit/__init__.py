"""Pure values that know nothing of the platform. One file per idea."""
