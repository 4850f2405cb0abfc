"""Writing figures into files. Each knows nothing of what they are about."""
