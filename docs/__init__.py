"""Pages about the project, and what draws their figures."""
