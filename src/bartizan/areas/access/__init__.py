"""Who may keep and use data, for what and for how long."""
