"""What a pipeline says: flows, steps, enhancements, deliveries, events. Pulls in neither the SDK nor stores."""
