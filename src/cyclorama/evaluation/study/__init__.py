"""The user study: people rank pictures without knowing who made them; ranks become scores."""
