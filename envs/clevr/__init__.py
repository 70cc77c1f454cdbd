"""CLEVR-Robot: five balls on a table between walls, a pusher, and goals in words."""
