"""What Brimful knows of mail beside sending it: signatures, reports of what became of a mail, the set-up."""
