"""Grading the graders: what must earn full points does, and what must not earn any does not."""
