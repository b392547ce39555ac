"""Polynomial coefficients of the functions in fastloss/_core/simd/elementary.h.

Minimax fits in the weight that makes the error of the result relative, by Lawson's
algorithm: least squares in 60 digits, weights multiplied by the error until it is level. Prints
the lines of the header; tests/test_simd.py checks that the header has them.
"""

import mpmath as mp

mp.mp.dps = 60


def minimax(function, weight, low, high, degree, nodes=160, rounds=40):
    """Coefficients, lowest first, of the polynomial with the least weighted maximal error."""
    x = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * nodes))
         for i in range(nodes)]
    f = [function(v) for v in x]
    w = [weight(v) for v in x]
    lawson = [mp.mpf(1) / nodes] * nodes
    for _ in range(rounds):
        gram = mp.matrix(degree + 1)
        right = mp.matrix(degree + 1, 1)
        for v, value, scale, share in zip(x, f, w, lawson, strict=True):
            powers = [v**k for k in range(degree + 1)]
            for i in range(degree + 1):
                right[i] += share * scale**2 * value * powers[i]
                for j in range(degree + 1):
                    gram[i, j] += share * scale**2 * powers[i] * powers[j]
        coefficients = mp.lu_solve(gram, right)
        error = [abs(scale * (value - mp.fsum(c * v**k for k, c in enumerate(coefficients))))
                 for v, value, scale in zip(x, f, w, strict=True)]
        lawson = [share * e for share, e in zip(lawson, error, strict=True)]
        total = mp.fsum(lawson)
        lawson = [share / total for share in lawson]
    return list(coefficients), max(error)


def log_float():
    """(log(1 + f) - f + f^2 / 2) / f^3 on [sqrt(1/2) - 1, sqrt(2) - 1]."""
    low, high = mp.sqrt(0.5) - 1, mp.sqrt(2) - 1
    return minimax(lambda f: (mp.log1p(f) - f + f * f / 2) / f**3,
                   lambda f: f**3 / mp.log1p(f), low, high, 7)


def log_double():
    """(log((1 + s) / (1 - s)) - 2 s) / s^3 as a polynomial in s^2, |s| <= 0.1716."""
    high = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2
    def function(z):
        s = mp.sqrt(z)
        return (2 * mp.atanh(s) - 2 * s) / s**3
    return minimax(function, lambda z: z, high / 10**6, high, 6)


def exp(degree):
    """(e^r - 1 - r) / r^2 on [-ln 2 / 2, ln 2 / 2], with a margin for the rounding of r / ln 2."""
    high = mp.log(2) / 2 * mp.mpf("1.001")
    return minimax(lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.exp(r),
                   -high, high, degree)


POLYNOMIALS = {"LOGF": log_float, "LOG": log_double, "EXPF": lambda: exp(4), "EXP": lambda: exp(9)}

if __name__ == "__main__":
    for name, derive in POLYNOMIALS.items():
        coefficients, error = derive()
        print(f"/* largest relative error {mp.nstr(error, 3)} */")
        for k, c in enumerate(coefficients):
            print(f"#define {name}_{k} {mp.nstr(c, 19)}" + ("f" if name.endswith("F") else ""))
