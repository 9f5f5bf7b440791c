"""What a journey's shadow decided beside what the version in force did: for ``brimful journey compare``."""
