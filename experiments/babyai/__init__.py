"""From unlabelled grid transitions to a language agent: the stages of TEDUO on BabyAI."""
