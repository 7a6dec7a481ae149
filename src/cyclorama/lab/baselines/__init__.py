"""Other people's methods behind one protocol, so that all are run, composited and measured alike."""
