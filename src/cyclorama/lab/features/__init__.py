"""The bundled feature network: its data, its training and how often it is right."""
