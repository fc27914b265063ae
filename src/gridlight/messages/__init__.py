"""The wire: frozen Structs that are at once message, event and record; nothing here does I/O."""
