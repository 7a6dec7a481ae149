"""The user study: people rank images without knowing who made them; ranks become scores."""
