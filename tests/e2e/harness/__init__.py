"""What the end-to-end tests share: processes, the container engine, clients, waiting.

Start with `cases`: its classes are what the tests derive from.
"""
