"""Pretend microcontrollers: exported C compiled for a core, run and counted in an emulator."""
