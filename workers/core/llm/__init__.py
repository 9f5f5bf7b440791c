"""The LLM step: prompts, what answers are taken, what calls cost. Pure."""
