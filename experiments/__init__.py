"""Command line, pipelines, presets, tracking and reports: the only room that knows the order."""
