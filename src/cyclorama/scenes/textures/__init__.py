"""Images that are glued on things, by what they show."""
