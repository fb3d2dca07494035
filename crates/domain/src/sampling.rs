//! What a sample says of the records that it left out.

/// How often the bound may be wrong: 1 time in 20.
const DOUBT: f64 = 0.05;

/// The highest share of all records that may differ if `differ` of `compared` sampled ones do, with 95 % confidence.
///
/// Chernoff's bound for samples without replacement (W. Hoeffding, "Probability Inequalities for Sums of Bounded
/// Random Variables", JASA 58, 1963, theorem 1 and section 6): the largest p with n * D(k/n, p) = ln 20, where D is
/// the relative entropy of two shares. Without a difference it is the exact 1 - 0.05^(1/n), about 3/n.
pub(crate) fn differ_at_most(differ: u64, compared: u64) -> f64 {
    if compared == 0 || differ >= compared {
        return 1.0;
    }
    let (n, seen) = (compared as f64, differ as f64 / compared as f64);
    let part = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    let entropy = |p: f64| part(seen, p) + part(1.0 - seen, 1.0 - p);
    let (mut low, mut high) = (seen, 1.0);
    // More than the digits of a double.
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if n * entropy(middle) > -DOUBT.ln() {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// A share in percent with two digits, rounded up.
pub fn percent_up(share: f64) -> String {
    let percent = share * 100.0;
    let digits = (1.0 - percent.log10().floor()).clamp(0.0, 9.0);
    let scale = 10_f64.powf(digits);
    let up = ((percent * scale).ceil() / scale).min(100.0);
    format!("{up:.0$}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_difference_it_is_exact() {
        for n in [1, 59, 3_000, 10_000_000] {
            let exact = -(DOUBT.ln() / n as f64).exp_m1();
            let bound = differ_at_most(0, n);
            assert!((bound / exact - 1.0).abs() < 1e-6, "{n}: {bound} {exact}");
        }
        assert_eq!(percent_up(differ_at_most(0, 3_000)), "0.100");
        assert_eq!((differ_at_most(0, 0), differ_at_most(7, 7)), (1.0, 1.0));
    }

    /// Of all samples at most one in 20 has a bound below the true share.
    #[test]
    fn it_holds_for_19_of_20_samples() {
        let n = 400;
        for share in [0.001_f64, 0.01, 0.05, 0.3, 0.5, 0.7] {
            let (mut chance, mut wrong) = ((n as f64 * (-share).ln_1p()).exp(), 0.0);
            for differ in 0..=n {
                if differ_at_most(differ, n) < share {
                    wrong += chance;
                }
                chance *= (n - differ) as f64 / (differ + 1) as f64 * share / (1.0 - share);
            }
            assert!(wrong <= DOUBT, "{share}: {wrong}");
        }
    }

    #[test]
    fn it_is_not_much_wider_than_the_exact_bound() {
        // Clopper and Pearson's for 5 of 100 is 10.2 %.
        let bound = differ_at_most(5, 100);
        assert!((0.102..0.13).contains(&bound), "{bound}");
    }

    #[test]
    fn a_share_is_rounded_up() {
        let said = [0.000_998_1, 0.029_5, 0.123_4, 0.999_99, 1.0, 2.95e-7].map(percent_up);
        assert_eq!(said, ["0.100", "3.0", "13", "100", "100", "0.000030"]);
    }
}
