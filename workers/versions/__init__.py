"""Published workspaces: bundled, written to the topic ``workspace``, taken up by workers as they run."""
