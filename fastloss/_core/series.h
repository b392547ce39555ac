/* Numbers next to a point, as generalised power series in the distance from it.
 *
 * A series is a sum of terms c e^q for a small e > 0, with increasing real exponents q, and is known
 * up to e^order. With p + e or p - e for the prediction, what a formula gives is such a series,
 * whose terms show the limits of the formula's derivatives from that side, also where a derivative
 * has 0 / 0 in it.
 *
 * Coefficients are of the widest type there is: with its exponents the square of 1e-200 is
 * not 0.
 */
#ifndef FASTLOSS_SERIES_H
#define FASTLOSS_SERIES_H

#include <math.h>
#include <string.h>

#define TERMS 8            /* of a series, and of a Taylor expansion beside its first */
#define CLOSE 1e-6         /* exponents nearer than this are one, but for float32's rounding */
#define NO_SIDE 1e-12L     /* limits that differ by less relatively are one, but for rounding */

typedef long double wide;

typedef struct {
    int n;                 /* of terms; -1: there is no series */
    int hole;              /* whether there is no value at the point itself, as of 0 / 0 */
    wide order;
    wide q[TERMS];
    wide c[TERMS];
} series;

static series no_series(void) { series r; r.n = -1; r.hole = 1; r.order = 0; return r; }

/* Infinity is larger than every term of a formula. */
static series constant(wide c) {
    series r;
    if (c != c) return no_series();
    r.n = c != 0; r.hole = 0; r.order = INFINITY;
    r.q[0] = c - c != 0 ? -1e6L : 0;
    r.c[0] = c - c != 0 ? (c > 0 ? 1 : -1) : c;
    return r;
}

static wide leading(const series *a) { return a->n > 0 ? a->q[0] : a->order; }

static void include(series *r, wide q, wide c) {
    int i = 0, k;
    if (c == 0 || q >= r->order - CLOSE) return;
    while (i < r->n && r->q[i] < q - CLOSE) i++;
    if (i < r->n && r->q[i] < q + CLOSE) {
        r->c[i] += c;
        if (r->c[i] == 0) {
            r->n--;
            for (k = i; k < r->n; k++) { r->q[k] = r->q[k + 1]; r->c[k] = r->c[k + 1]; }
        }
        return;
    }
    if (r->n == TERMS) {       /* the last one goes */
        r->order = i < TERMS ? r->q[TERMS - 1] : q;
        if (i == TERMS) return;
        r->n--;
    }
    for (k = r->n; k > i; k--) { r->q[k] = r->q[k - 1]; r->c[k] = r->c[k - 1]; }
    r->q[i] = q; r->c[i] = c; r->n++;
}

static void cut(series *r) {
    while (r->n > 0 && r->q[r->n - 1] >= r->order - CLOSE) r->n--;
}

static series plus(const series *a, const series *b, wide sign) {
    series r;
    int i;
    if (a->n < 0 || b->n < 0) return no_series();
    r = *a;
    r.hole = a->hole || b->hole || (leading(a) < -CLOSE && leading(b) < -CLOSE);
    if (b->order < r.order) r.order = b->order;
    cut(&r);
    for (i = 0; i < b->n; i++) include(&r, b->q[i], sign * b->c[i]);
    cut(&r);
    return r;
}

static series times(const series *a, const series *b) {
    series r;
    wide la, lb;
    int i, j;
    if (a->n < 0 || b->n < 0) return no_series();
    la = leading(a); lb = leading(b);
    r.n = 0;
    r.hole = a->hole || b->hole || (la > CLOSE && lb < -CLOSE) || (la < -CLOSE && lb > CLOSE);
    r.order = INFINITY;
    if (a->order < INFINITY) r.order = a->order + lb;
    if (b->order < INFINITY && b->order + la < r.order) r.order = b->order + la;
    for (i = 0; i < a->n; i++)
        for (j = 0; j < b->n; j++) include(&r, a->q[i] + b->q[j], a->c[i] * b->c[j]);
    cut(&r);
    return r;
}

/* t[0] + t[1] d + ... + t[TERMS] d^TERMS, of a d that vanishes at the point */
static series composed(const wide *t, const series *d) {
    series r = constant(t[TERMS]), part;
    wide rest = (TERMS + 1) * leading(d);
    int k;
    for (k = TERMS - 1; k >= 0 && r.n >= 0; k--) {
        r = times(&r, d);
        part = constant(t[k]);
        r = plus(&r, &part, 1);
    }
    if (r.n >= 0 && rest < r.order) { r.order = rest; cut(&r); }
    if (r.n >= 0) r.hole = d->hole;
    return r;
}

static series raised(const series *a, wide k) {
    series d, r;
    wide t[TERMS + 1], c, q;
    int i, whole = k == floorl(k), odd = whole && fmodl(k, 2) != 0;
    if (k == 0) return constant(1);
    if (a->n < 0) return no_series();
    if (a->n == 0) {
        if (k < 0) return no_series();
        r = *a; r.order *= k;
        return r;
    }
    c = a->c[0]; q = a->q[0];
    if (c < 0 && !whole) return no_series();
    d.n = a->n - 1; d.order = a->order - q; d.hole = 0;
    for (i = 1; i < a->n; i++) { d.q[i - 1] = a->q[i] - q; d.c[i - 1] = a->c[i] / c; }
    t[0] = 1;
    for (i = 1; i <= TERMS; i++) t[i] = t[i - 1] * (k - i + 1) / i;
    r = composed(t, &d);
    if (r.n < 0) return r;
    c = k == -1 ? 1 / c : k == 0.5L ? sqrtl(c)
        : (c < 0 && odd ? -1 : 1) * powl(fabsl(c), k);
    if (c == 0 || c - c != 0) return no_series();
    r.order += q * k; r.hole = a->hole;
    for (i = 0; i < r.n; i++) { r.q[i] += q * k; r.c[i] *= c; }
    return r;
}

static int sign_of(const series *a) { return a->n <= 0 ? 0 : a->c[0] > 0 ? 1 : -1; }

/* the number at the point itself; infinite where terms have negative exponents */
static wide at_point(const series *a) {
    if (a->n < 0 || a->hole || a->order < -CLOSE) return NAN;
    if (a->n > 0 && a->q[0] < -CLOSE) return a->c[0] > 0 ? INFINITY : -INFINITY;
    return a->n > 0 && a->q[0] < CLOSE ? a->c[0] : 0;
}

/* ---- functions --------------------------------------------------------------------------- */

enum { Y, P, PARAMETER, NUMBER, TRUTH, ROUND, ADD, SUB, MUL, DIV, NEG, ABS, SQRT, POW, LT, LE, EQ,
       NE, AND, OR, NOT, SELECT, SIGN, FLOOR, CEIL, TRUNC, EXP, EXPM1, LOG, LOG1P, LOG2, LOG10, SIN,
       COS, TAN, SINH, COSH, ASIN, ACOS, ATAN, ASINH, ACOSH, ATANH, ERF, ERFC, LGAMMA, GAMMA, DIRECTION,
       BESIDE_LT, BESIDE_EQ, BESIDE_DIV };

#define PI 3.141592653589793238462643383279502884L
#define LN2 0.693147180559945309417232121458176568L
#define LN10 2.302585092994045684017991454684364208L

/* Taylor coefficients of the integral of k (a + b h + c h^2)^r, of whose value t[0] is */
static void of_quadratic(wide *t, wide k, wide a, wide b, wide c, wide r) {
    wide last = 0, now = k * (r == -1 ? 1 / a : 1 / sqrtl(a)), next;
    int i;
    for (i = 0; i < TERMS; i++) {
        t[i + 1] = now / (i + 1);
        next = ((r - i) * b * now + (2 * r - (i - 1)) * c * last) / (a * (i + 1));
        last = now; now = next;
    }
}

/* Taylor coefficients of a function at x; 0 if it has none there */
static int taylor(int op, wide x, wide *t) {
    wide z, s, c, scale = 1;
    int i;
    switch (op) {
    case EXP: case EXPM1:
        for (i = 1, t[0] = z = expl(x); i <= TERMS; i++) t[i] = z /= i;
        if (op == EXPM1) t[0] = expm1l(x);
        return 1;
    case LOG: case LOG1P: case LOG2: case LOG10:
        z = op == LOG1P ? 1 + x : x;
        if (!(z > 0)) return 0;
        if (op == LOG2) scale = 1 / LN2;
        if (op == LOG10) scale = 1 / LN10;
        t[0] = scale * (op == LOG1P ? log1pl(x) : logl(x));
        for (i = 1, s = -scale; i <= TERMS; i++) { s *= -1 / z; t[i] = s / i; }
        return 1;
    case SIN: case COS: case SINH: case COSH:
        s = op == SIN ? sinl(x) : op == COS ? cosl(x) : op == SINH ? sinhl(x) : coshl(x);
        c = op == SIN ? cosl(x) : op == COS ? -sinl(x) : op == SINH ? coshl(x) : sinhl(x);
        for (i = 0, z = 1; i <= TERMS; z *= ++i)
            t[i] = (i % 2 ? c : s) * (i % 4 > 1 && op < SINH ? -1 : 1) / z;
        return 1;
    case ATAN: t[0] = atanl(x); of_quadratic(t, 1, 1 + x * x, 2 * x, 1, -1); return 1;
    case ASINH: t[0] = asinhl(x); of_quadratic(t, 1, 1 + x * x, 2 * x, 1, -0.5L); return 1;
    case ASIN: case ACOS: case ATANH:
        z = (1 - x) * (1 + x);
        if (!(z > 0)) return 0;
        t[0] = op == ASIN ? asinl(x) : op == ACOS ? acosl(x) : atanhl(x);
        of_quadratic(t, op == ACOS ? -1 : 1, z, -2 * x, -1, op == ATANH ? -1 : -0.5L);
        return 1;
    case ACOSH:
        z = (x - 1) * (x + 1);
        if (!(z > 0 && x > 1)) return 0;
        t[0] = acoshl(x);
        of_quadratic(t, 1, z, 2 * x, 1, -0.5L);
        return 1;
    case ERF: case ERFC:
        t[0] = op == ERF ? erfl(x) : erfcl(x);
        z = (op == ERF ? 2 : -2) / sqrtl(PI) * expl(-x * x);
        for (i = 0, s = 0; i < TERMS; i++) {
            t[i + 1] = z / (i + 1);
            c = -2 * (x * z + s) / (i + 1);
            s = z; z = c;
        }
        return 1;
    }
    return 0;
}

static series function_of(int op, const series *a) {
    series d, r, half;
    wide t[TERMS + 1], x;
    int i, sign = sign_of(a);
    if (a->n < 0 || a->order < CLOSE) return no_series();
    if (op == TAN) {
        d = function_of(COS, a); d = raised(&d, -1); r = function_of(SIN, a);
        return times(&r, &d);
    }
    if (a->n > 0 && a->q[0] < -CLOSE) {        /* infinite at the point */
        if (op == ATAN) {
            d = raised(a, -1); d = function_of(ATAN, &d); r = constant(sign * PI / 2);
            return plus(&r, &d, -1);
        }
        if ((op == EXP || op == EXPM1) && sign < 0) return constant(op == EXP ? 0 : -1);
        if (op == ERF) return constant(sign);
        if (op == ERFC) return constant(1 - sign);
        return no_series();
    }
    d = *a;
    x = at_point(a);
    if (a->hole) x = a->n > 0 && a->q[0] < CLOSE ? a->c[0] : 0;
    if (d.n > 0 && d.q[0] < CLOSE)
        for (i = 1, d.n--; i <= d.n; i++) { d.q[i - 1] = d.q[i]; d.c[i - 1] = d.c[i]; }
    if ((op == ASIN || op == ACOS || op == ACOSH) && fabsl(x) == 1) {
        /* acos x = 2 asin sqrt((1 - x) / 2), acosh x = 2 asinh sqrt((x - 1) / 2) */
        for (i = 0; i < d.n; i++) d.c[i] *= (x > 0) == (op == ACOSH) ? 0.5L : -0.5L;
        if (op == ACOSH && x < 0) return no_series();
        d = raised(&d, 0.5L);
        d = function_of(op == ACOSH ? ASINH : ASIN, &d);
        half = constant(x < 0 ? -2 : 2);
        d = times(&half, &d);
        if (op == ACOSH) return d;
        r = constant(x < 0 ? PI : 0);
        d = plus(&r, &d, 1);
        if (op == ACOS) return d;
        r = constant(PI / 2);
        return plus(&r, &d, -1);
    }
    if (!taylor(op, x, t)) return no_series();
    return composed(t, &d);
}

/* the whole number below a number, above it, or towards 0 */
static series whole(int op, const series *a, int taken) {
    wide x = at_point(a), low;
    int side;
    if (!(x - x == 0)) return no_series();
    low = floorl(x);
    if (low == x && !taken) {                  /* which side of it */
        side = x == 0 ? sign_of(a) : a->n > 1 ? (a->c[1] > 0 ? 1 : -1) : 0;
        if (side < 0) low -= 1;
        if (side != 0 && (op == CEIL || (op == TRUNC && (x < 0 || (x == 0 && side < 0))))) low += 1;
        return constant(low);
    }
    return constant(op == FLOOR || (op == TRUNC && x > 0) ? low : ceill(x));
}

/* ---- formulas ---------------------------------------------------------------------------- */

typedef struct { int op, moves, args[3]; double number; } step;
typedef struct { series s; int truth; } place;

/* the limits of the first and the second derivative; NaN where they are not known */
static void limits_of(const series *a, int side, wide *first, wide *second) {
    int i;
    *first = *second = NAN;
    if (a->n < 0) return;
    if (a->order > 1) *first = 0;
    if (a->order > 2) *second = 0;
    for (i = a->n - 1; i >= 0; i--) {          /* the least exponent last */
        wide q = a->q[i], c = a->c[i];
        if (fabsl(q) < CLOSE) continue;
        if (fabsl(q - 1) < CLOSE) { *first = side * c; continue; }
        if (q < 1) *first = side * q * c > 0 ? INFINITY : -INFINITY;
        if (fabsl(q - 2) < CLOSE) *second = 2 * c;
        else if (q < 2) *second = q * (q - 1) * c > 0 ? INFINITY : -INFINITY;
    }
}

static int compared(int op, const series *a, const series *b, int taken) {
    series d = plus(a, b, -1);
    wide x;
    int beside = op == BESIDE_LT || op == BESIDE_EQ;    /* part of a function without a step */
    if (a->n < 0 || b->n < 0) return op == NE;
    if (beside) op = op == BESIDE_LT ? LT : EQ;
    x = taken && !beside ? at_point(&d) : sign_of(&d);
    return op == LT ? x < 0 : op == LE ? x <= 0 : op == EQ ? x == 0 : x != 0;
}

/* Compute all steps next to p; with `taken`, conditions and steps are those at p itself. */
static void follow(const step *steps, int n, place *found, double y, double p,
                   const double *parameters, int side, int taken, int narrow, int all) {
    int i;
    for (i = 0; i < n; i++) {
        const step *now = steps + i;
        const place *a = found + now->args[0], *b = found + now->args[1], *c = found + now->args[2];
        place *r = found + i;
        wide x;
        if (!all && !now->moves) continue;
        switch (now->op) {
        case Y: r->s = constant(y); break;
        case P: r->s = constant(p); if (r->s.n >= 0) include(&r->s, 1, side); break;
        case PARAMETER: r->s = constant(parameters[now->args[0]]); break;
        case NUMBER: r->s = constant(now->number); break;
        case TRUTH: r->truth = now->args[0]; break;
        case ROUND:
            r->truth = a->truth;
            x = at_point(&a->s);
            r->s = constant(narrow ? (wide)(float)x : (wide)(double)x);
            break;
        case ADD: r->s = plus(&a->s, &b->s, 1); break;
        case SUB: r->s = plus(&a->s, &b->s, -1); break;
        case MUL: r->s = times(&a->s, &b->s); break;
        case DIV: case BESIDE_DIV: {
            series inverse = raised(&b->s, -1);
            r->s = times(&a->s, &inverse);
            if (now->op == BESIDE_DIV) r->s.hole = a->s.hole || b->s.hole;
            break;
        }
        case NEG: r->s = constant(0); r->s = plus(&r->s, &a->s, -1); break;
        case ABS: r->s = constant(0); r->s = plus(&r->s, &a->s, sign_of(&a->s) < 0 ? -1 : 1); break;
        case SQRT: r->s = raised(&a->s, 0.5L); break;
        case POW:
            x = at_point(&b->s);
            if (b->s.n <= 1 && b->s.order == INFINITY && x == x) r->s = raised(&a->s, x);
            else {
                series power = function_of(LOG, &a->s);
                power = times(&power, &b->s);
                r->s = function_of(EXP, &power);
            }
            break;
        case LT: case LE: case EQ: case NE: case BESIDE_LT: case BESIDE_EQ:
            r->truth = compared(now->op, &a->s, &b->s, taken);
            break;
        case AND: r->truth = a->truth && b->truth; break;
        case OR: r->truth = a->truth || b->truth; break;
        case NOT: r->truth = !a->truth; break;
        case SELECT: r->s = a->truth ? b->s : c->s; break;
        case SIGN: case DIRECTION:     /* the latter is part of a function without a step */
            x = at_point(&a->s);
            if (a->s.n < 0) r->s = no_series();
            else r->s = constant(!taken || now->op == DIRECTION ? sign_of(&a->s) : (x > 0) - (x < 0));
            break;
        case FLOOR: case CEIL: case TRUNC: r->s = whole(now->op, &a->s, taken); break;
        case LGAMMA: x = at_point(&a->s); r->s = constant(lgammal(x)); break;
        case GAMMA: x = at_point(&a->s); r->s = constant(tgammal(x)); break;
        default: r->s = function_of(now->op, &a->s);
        }
    }
}

static wide agreed(wide right, wide left) {
    if (right != right) return left;           /* the formula ends here */
    if (left != left || right == left) return right;
    if (right - right != 0 || left - left != 0) return NAN;
    return fabsl(right - left) <= NO_SIDE * fmaxl(fabsl(right), fabsl(left))
        ? (right + left) / 2 : NAN;
}

static wide mean(wide right, wide left) {
    return right == left ? right : right == -left ? 0 : (right + left) / 2;
}

/* Derivatives of the last step at p: the limit from both sides, or the mean of the sides of the
   branch that is taken at p. What is not known stays NaN. */
static void limits_at(const step *steps, int n, place *found, double y, double p,
                      const double *parameters, int narrow, double *first, double *second) {
    wide g[4], h[4], value, x;
    int i;
    *first = *second = NAN;
    for (i = 0; i < 4; i++) {
        follow(steps, n, found, y, p, parameters, i % 2 ? -1 : 1, i < 2, narrow, i == 0);
        value = at_point(&found[n - 1].s);
        if (i == 0 && !(value - value == 0)) return;     /* there is no derivative of infinity */
        limits_of(&found[n - 1].s, i % 2 ? -1 : 1, g + i, h + i);
    }
    x = agreed(g[2], g[3]);
    *first = (double)(x == x ? x : mean(g[0], g[1]));
    x = agreed(h[2], h[3]);
    *second = (double)(x == x ? x : mean(h[0], h[1]));
}

#endif
