"""Takes for ever to import."""

while True:
    pass
