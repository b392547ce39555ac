"""Compiled code that is not made once per SIMD level; its C structs, formulas and loops."""
