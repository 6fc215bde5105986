"""What is evaluated: tables with a schema, text templates, prompts, counterfactuals and their sources."""
