"""One file per framework, named after it, the only place that imports it."""
