"""Asks language models what journeys want to know: an agent on ``llm-requests``, beside those of channels."""
