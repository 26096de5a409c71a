"""For people who write adapters, engines and rules: run builders."""
