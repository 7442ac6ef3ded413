"""`skypanel cluster …`: the same platform on Docker Swarm."""
