"""The kernel on Faust: partitions, their stores and one Kafka transaction for each batch."""
