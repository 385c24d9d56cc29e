"""Registry, planner and runner: they know checks by their description alone, none by name."""
