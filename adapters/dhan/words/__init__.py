"""Our words to the venue's and back."""
