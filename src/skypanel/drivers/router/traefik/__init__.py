"""The real router: Traefik, told by files. See docs/decisions/0005-router.md."""
