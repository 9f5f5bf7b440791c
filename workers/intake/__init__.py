"""The HTTP gateway: events in, one-click unsubscribe, the in-app feed out. Importing it does nothing."""
