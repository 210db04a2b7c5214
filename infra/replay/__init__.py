"""`khata replay`: what was asked for, and how it is shown."""
