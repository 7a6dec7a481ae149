"""Routes by subject; each reads its request, asks the store and answers by a shape."""
