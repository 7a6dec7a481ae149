"""What a researcher needs and a shop never calls: baselines, experiments, study, planted sets."""
