"""The sans-I/O core: machines that decide; an event and the time go in, effects come out."""
