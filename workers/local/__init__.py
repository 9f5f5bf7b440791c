"""``brimful run``: Kafka, a mail sink and a recorded history on one machine."""
