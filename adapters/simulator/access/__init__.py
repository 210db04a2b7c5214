"""Who may use the simulator, from where, and how often."""
