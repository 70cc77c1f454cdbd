"""Checks of trust: kills, flipped bits, full disks, poisoned goals; every claim is counted."""
