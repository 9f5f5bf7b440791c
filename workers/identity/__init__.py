"""Who is who: ids that turn out to be one person, and people who are to be forgotten (docs/identity.md)."""
