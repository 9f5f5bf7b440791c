"""The console: pages for operators, rendered by the gateway, without scripts."""
