"""What makes a running engine of the parts: settings, wiring, roles, embedded servers, command line."""
