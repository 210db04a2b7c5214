"""What goes wrong on request, and by plan."""
