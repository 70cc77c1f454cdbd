"""Offline RL on real and imagined episodes: mixing, d3rlpy algorithms, policies, evaluation."""
