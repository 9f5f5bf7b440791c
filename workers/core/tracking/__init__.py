"""The tracking plan: checked, inferred, proposed, and the health of the instrumentation."""
