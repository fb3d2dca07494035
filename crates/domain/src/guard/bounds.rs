//! Bounds of a rate by Chernoff's inequality for Bernoulli trials (Kullback-Leibler form; Garivier and Cappé,
//! COLT 2011): `n kl(x/n, p) <= level` excludes the true rate with probability at most `exp(-level)` on each
//! side.

/// Divergence of Bernoulli(`p`) from Bernoulli(`q`), in nats. 0 if equal, infinite if `q` rules out what `p`
/// allows.
pub fn kl(p: f64, q: f64) -> f64 {
    let part = |p: f64, q: f64| if p <= 0.0 { 0.0 } else { p * (p / q).ln() };
    part(p, q) + part(1.0 - p, 1.0 - q)
}

/// The greatest rate that `bad` of `calls` does not rule out. 1 without calls.
pub fn upper(bad: f64, calls: f64, level: f64) -> f64 {
    if calls <= 0.0 {
        return 1.0;
    }
    let seen = (bad / calls).clamp(0.0, 1.0);
    bisect(seen, 1.0, |rate| calls * kl(seen, rate) <= level)
}

/// The lowest rate that `bad` of `calls` does not rule out. 0 without calls.
pub fn lower(bad: f64, calls: f64, level: f64) -> f64 {
    if calls <= 0.0 {
        return 0.0;
    }
    let seen = (bad / calls).clamp(0.0, 1.0);
    1.0 - bisect(1.0 - seen, 1.0, |good| calls * kl(seen, 1.0 - good) <= level)
}

/// Number of calls without a failure that certify a rate below `margin`, wrong with probability `alpha`:
/// `ln(1/alpha) / -ln(1-margin)`, rounded up.
pub fn calls_to_certify(margin: f64, alpha: f64) -> u64 {
    (alpha.ln() / (-margin).ln_1p()).ceil() as u64
}

/// The greatest point of `[low, high]` up to which `holds`, on the safe side: slightly above it.
fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    if holds(high) {
        return high;
    }
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}
