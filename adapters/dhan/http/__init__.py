"""One request, one answer, what it means, and proof of whether anything was sent."""
