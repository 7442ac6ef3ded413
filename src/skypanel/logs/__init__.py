"""From what containers, builds and the router print to lines of the log store, and from there to followers."""
