"""What the stages of TEDUO share, whatever the world: reading goals, fine-tuning, reporting."""
