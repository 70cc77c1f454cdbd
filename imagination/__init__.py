"""Goals nobody has data for, the rollouts that the grounded model imagines for them, and checks."""
