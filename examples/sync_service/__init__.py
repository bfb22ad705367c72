"""A synchronous service made of classes, told with leadtrace: threads, plain loops, no asyncio anywhere."""
