"""The HTTP service: product photos and settings in, jobs, events and images out."""
