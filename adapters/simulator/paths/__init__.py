"""What can be asked for over HTTP, and how bodies are read."""
