"""What looks wrong in a workspace though each file is right by itself."""
