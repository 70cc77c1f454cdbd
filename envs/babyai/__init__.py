"""BabyAI: rooms, doors and things in a grid, and goals in words; built on `minigrid`."""
