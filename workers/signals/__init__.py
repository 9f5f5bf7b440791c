"""Events become windowed state, memberships and eligible subjects."""
