"""What answers over HTTP: web frameworks and servers are imported in this room only."""
