"""COUNT: run log in, tables out."""
