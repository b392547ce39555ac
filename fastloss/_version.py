"""The version, alone in a module that the build can read without importing NumPy."""

__version__ = "0.1.0"
